import { createParser } from "eventsource-parser";

/** A comment, at its line's end; or what a blank line gives out: an event, or an id alone. */
export interface Item {
	readonly comment?: string;
	/** Of this block. */
	readonly id?: string | undefined;
	/** Its lastEventId is for the stream to say. */
	readonly event?: { type: string; data: string; lastEventId: string; retry: number | undefined };
}

/**
 * Decodes the chunks of a body. An id is given out at the blank line only: a client
 * that takes it over when it reads the line loses the event that is cut behind it.
 */
export class BodyDecoder {
	readonly #text = new TextDecoder("utf-8", { ignoreBOM: true }); // the parser strips it
	readonly #parser: ReturnType<typeof createParser>;
	readonly #items: Item[] = [];

	constructor(onRetry: (ms: number) => void) {
		let said: number | undefined;
		this.#parser = createParser({
			onRetry: (ms) => {
				said = ms;
				onRetry(ms);
			},
			onComment: (comment) => this.#items.push({ comment }),
			onId: (id) => this.#items.push({ id }),
			onEvent: ({ id, event: type, data }) => {
				if (id !== undefined) {
					this.#items.pop(); // its own, which came just before
				}
				const event = { type: type || "message", data, lastEventId: "", retry: said };
				said = undefined;
				this.#items.push({ id, event });
			},
		});
	}

	decode(chunk: Uint8Array): Item[] {
		this.#parser.feed(this.#text.decode(chunk, { stream: true }));
		return this.#items.splice(0);
	}
}
