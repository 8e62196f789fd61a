import { createEventStream, type EventStreamOptions } from "../../src/index.ts";

/** What a stream of the page or of its worker has told. */
export interface Told {
	/** Id and data of every event, in order. */
	events: [id: string, data: string][];
	opened: number;
	/** The delays of the retries, in ms. */
	retries: number[];
	/** The codes of the errors. */
	errors: string[];
	/** How it ended: the reason, or the code of the error. */
	end: string | undefined;
	/** The body of a JSON answer. */
	body: unknown;
}

/** Options that can be cloned into a page, and what a callback of the page returns. */
export interface Plan extends EventStreamOptions {
	/** What `onretry` returns: a gateway's `retry:` would take the place of `retry.baseMs`. */
	readonly delayMs?: number;
}

declare global {
	interface Window {
		/** Of the stream that was opened last. */
		told: Told;
		openStream(url: string, plan: Plan): void;
	}
}

export function nothingTold(): Told {
	return { events: [], opened: 0, retries: [], errors: [], end: undefined, body: undefined };
}

/** Opens a stream and calls back whenever it has told something. */
export function record(
	url: string,
	{ delayMs, ...options }: Plan,
	changed: (told: Told) => void = () => {},
): Told {
	const told = nothingTold();
	const tell = (change: () => void) => {
		change();
		changed(told);
	};
	createEventStream(url, {
		...options,
		onopen: () => tell(() => told.opened++),
		onmessage: (event) => tell(() => told.events.push([event.lastEventId, event.data])),
		onretry: (notice) => {
			tell(() => told.retries.push(notice.delayMs));
			return delayMs;
		},
		onerror: ({ code }) => tell(() => told.errors.push(code)),
		onclose: (end, error) =>
			tell(() => {
				told.end = end?.reason ?? error?.code;
				told.body = end?.reason === "json" ? end.body : undefined;
			}),
	});
	return told;
}
