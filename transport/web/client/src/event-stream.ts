import type { EventStreamOptions, StreamEnd } from "./options.ts";
import { parse } from "./parse.ts";
import { createEventStream, type ResumableStream } from "./stream.ts";

/** What a callback of retrieveData gets: an event's data, parsed. */
export interface Chunk<T> {
	/** Undefined with a last call that has no data of its own. */
	readonly data: T | undefined;
	/** `message` for an event without a type. */
	readonly type: string;
	/** True in the last call, which is made however the answer ended, unless it failed. */
	readonly isEnd: boolean;
}

/**
 * An endpoint that is asked with JSON and answers with a stream of JSON, or with one
 * JSON document. One answer at a time: a new question closes the one before it.
 */
export class EventStream<T = unknown> {
	readonly #endpoint: string | URL;
	readonly #options: EventStreamOptions;
	#stream: ResumableStream | undefined;

	constructor(endpoint: string | URL, options: EventStreamOptions = {}) {
		this.#endpoint = endpoint;
		this.#options = options;
	}

	/**
	 * Posts the parameters and calls back for each event. Resolves at the end; rejects with
	 * the StreamError where the answer failed. Data that is not JSON is handed over as text.
	 */
	async retrieveData(params: object, callback: (chunk: Chunk<T>) => void): Promise<StreamEnd> {
		this.close();
		const stream = createEventStream(this.#endpoint, {
			reconnectOnEnd: false,
			...this.#options,
			method: "POST",
			body: params,
			onmessage: (event) => {
				try {
					this.#options.onmessage?.(event);
				} finally {
					callback({ data: parse(event.data) as T, type: event.type, isEnd: false });
				}
			},
		});
		this.#stream = stream;
		const end = await stream.done;
		if (end.reason !== "closed") {
			const { body: data } = end as { body?: T };
			callback({ data, type: "message", isEnd: true });
		}
		return end;
	}

	/** Ends the answer; the callback is not called again. */
	close(): void {
		this.#stream?.close();
	}
}
