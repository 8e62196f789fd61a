import { createEventSource, type EventSourceClient } from "eventsource-client";
import type { Client, Quirk, Report } from "../client.ts";
import { FORGETS_PRIMING } from "../quirks.ts";
import { accepting } from "./event-source.ts";

const readsAnything: Quirk = {
	does: "takes any answer for a stream, a 401 and JSON too, and tries again for ever",
	outcome: { afterwards: "returns" },
	around: { says: "Give it a `fetch` that looks at the answer and closes." },
};

export const eventsourceClient: Client = {
	name: "eventsource-client",
	takesAccept: true,
	quirks: {
		"cut in the first event": FORGETS_PRIMING,
		"401": readsAnything,
		"JSON answer: an error": readsAnything,
		"JSON answer: a page": readsAnything,
	},
	open: (url, options, report) => {
		const source = createEventSource({
			url,
			headers: accepting(options),
			fetch: async (input, init) => {
				const response = await fetch(input, init as RequestInit);
				if (options.careful && !isStream(response)) {
					source.close();
				}
				return response;
			},
			onConnect: () => report({ kind: "open" }),
		});
		void reportAll(source, report);
		return () => source.close();
	},
};

function isStream({ status, headers }: Response): boolean {
	return status === 204 || headers.get("content-type") === "text/event-stream";
}

async function reportAll(
	source: EventSourceClient,
	report: (report: Report) => void,
): Promise<void> {
	for await (const { event = "message", data, id = "" } of source) {
		report({ kind: "event", type: event, data, id });
	}
	report({ kind: "closed" });
}
