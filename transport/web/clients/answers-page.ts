import { EventStreamContentType, fetchEventSource } from "@microsoft/fetch-event-source";

/** What an application has at the end of an answer. */
export interface Outcome {
	text: string;
	infos: unknown[];
	finish?: unknown;
	/** The data of an `error` event, or what was thrown. */
	error?: unknown;
}

declare global {
	interface Window {
		/**
		 * Asks with @microsoft/fetch-event-source, by POST, as its README has it. With `format=json` in
		 * the URL, an event's data is an object with the worker's.
		 * @param abortAfter leaves after so many pieces
		 */
		askByPost(
			url: string,
			question: string,
			headers: Record<string, string>,
			abortAfter?: number,
		): Promise<Outcome>;
		/** Asks in two steps: a POST for the URL, and a native EventSource that opens it. */
		askInTwoSteps(url: string, question: string, headers: Record<string, string>): Promise<Outcome>;
	}
}

/** What another attempt would not change. */
class FatalError extends Error {}

window.askByPost = async (url, question, headers, abortAfter = Infinity) => {
	const outcome: Outcome = { text: "", infos: [] };
	const leave = new AbortController();
	let pieces = 0;
	try {
		await fetchEventSource(url, {
			method: "POST",
			headers: { "Content-Type": "application/json", ...headers },
			body: bodyOf(question),
			signal: leave.signal,
			openWhenHidden: true,
			async onopen(response) {
				const type = response.headers.get("content-type") ?? "";
				if (response.ok && type.startsWith(EventStreamContentType)) {
					return;
				}
				if (response.ok && type.startsWith("application/json")) {
					const { text, finish } = await response.json();
					Object.assign(outcome, { text, finish });
					throw new FatalError("whole");
				}
				const { status, reason, detail } = await response.json();
				throw new FatalError([status, reason, detail].join(" "));
			},
			onmessage({ event, data: given }) {
				const data = url.endsWith("?format=json") ? JSON.parse(given).data : given;
				switch (event) {
					case "add":
						outcome.text += data;
						if (++pieces >= abortAfter) {
							leave.abort();
						}
						break;
					case "info":
						outcome.infos.push(JSON.parse(data));
						break;
					case "finish":
						outcome.finish = JSON.parse(data);
						leave.abort(); // else it would ask whether there is more
						break;
					case "error":
						outcome.error = JSON.parse(data);
						leave.abort();
						break;
				}
			},
			onerror(error) {
				if (error instanceof FatalError) {
					throw error;
				}
			},
		});
	} catch (error) {
		outcome.error = (error as Error).message;
	}
	return outcome;
};

window.askInTwoSteps = async (url, question, headers) => {
	const outcome: Outcome = { text: "", infos: [] };
	const accepted = await fetch(url, {
		method: "POST",
		headers: { "Content-Type": "application/json", Prefer: "respond-async", ...headers },
		body: bodyOf(question),
	});
	const answer = await accepted.json();
	if (!accepted.ok) {
		return { ...outcome, error: [answer.status, answer.reason, answer.detail].join(" ") };
	}
	const source = new EventSource(new URL(answer.url, url));
	source.addEventListener("add", ({ data }) => {
		outcome.text += data;
	});
	source.addEventListener("info", ({ data }) => outcome.infos.push(JSON.parse(data)));
	return await new Promise((resolve) => {
		source.addEventListener("finish", ({ data }) => {
			source.close();
			resolve({ ...outcome, finish: JSON.parse(data) });
		});
		// Of the same name: the event of the answer has data, a lost connection has none.
		source.addEventListener("error", (event) => {
			if (event instanceof MessageEvent) {
				source.close();
				resolve({ ...outcome, error: JSON.parse(event.data) });
			}
		});
	});
};

function bodyOf(question: string): string {
	return JSON.stringify({ messages: [{ role: "user", content: question }] });
}
