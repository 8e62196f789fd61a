import { fetchEventSource } from "@microsoft/fetch-event-source";
import type { Client, OpenOptions, Quirk, Quirks, Report } from "../client.ts";
import { SKIPS_EVENT } from "../quirks.ts";

const triesForEver: Quirk = {
	does: "tries again for ever after a 401 and other refusals, and after a JSON answer",
	outcome: { afterwards: "returns" },
	around: { says: "Throw in `onopen`, and throw it on in `onerror`." },
};

const quirks: Quirks = {
	"cut before the blank line": SKIPS_EVENT,
	"401": triesForEver,
	"JSON answer: an error": triesForEver,
	"JSON answer: a page": triesForEver,
};

export const fetchEventSourceGet: Client = {
	name: "@microsoft/fetch-event-source",
	takesAccept: true,
	quirks,
	open: (url, options, report) => start(url, {}, options, report),
};

/** For what one cannot do with an EventSource. */
export const fetchEventSourcePost: Client = {
	name: "@microsoft/fetch-event-source",
	takesAccept: true,
	posts: true,
	quirks,
	open: (url, options, report) => {
		const { origin, pathname, searchParams } = new URL(url);
		const init = {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(Object.fromEntries(searchParams)),
		};
		return start(origin + pathname, init, options, report);
	},
};

/** An answer that another attempt would not change. */
class Refused extends Error {}

function start(
	url: string,
	init: { method?: string; headers?: Record<string, string>; body?: string },
	{ accept, careful }: OpenOptions,
	report: (report: Report) => void,
): () => void {
	const abort = new AbortController();
	fetchEventSource(url, {
		...init,
		// In lower case: it sends its own beside one that is called "Accept".
		headers: { ...init.headers, ...(accept !== undefined && { accept }) },
		signal: abort.signal,
		// With an onopen it would not look at the content type itself.
		fetch: async (input, init) => {
			const response = await fetch(input, init);
			report({ kind: "open" });
			return response;
		},
		onmessage: ({ event, data, id }) =>
			report({ kind: "event", type: event === "" ? "message" : event, data, id }),
		onerror: (error: Error) => {
			report({ kind: "error", message: error.message });
			if (error instanceof Refused) {
				throw error;
			}
		},
		...(careful && { onopen: refuse }),
	}).then(
		() => report({ kind: "closed" }),
		() => report({ kind: "closed" }),
	);
	return () => abort.abort();
}

async function refuse({ ok, status, headers }: Response): Promise<void> {
	if (!ok || headers.get("content-type") !== "text/event-stream") {
		throw new Refused(`answered ${status}`);
	}
}
