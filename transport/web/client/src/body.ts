import { createParser } from "eventsource-parser";

/** A comment, at its line's end; or what a blank line gives out: an event, or an id alone. */
export interface Item {
	readonly comment?: string;
	/** Of this block. */
	readonly id?: string | undefined;
	readonly event?: { readonly type: string; readonly data: string; readonly retry?: number };
}

/**
 * Decodes the chunks of a body. An id is given out at the blank line only: a client
 * that takes it over when it reads the line loses the event that is cut behind it.
 */
export class BodyDecoder {
	readonly #text = new TextDecoder("utf-8", { ignoreBOM: true }); // the parser strips it
	readonly #parser: ReturnType<typeof createParser>;
	#items: Item[] = [];

	constructor(onRetry: (ms: number) => void) {
		let said: { retry?: number } = {};
		this.#parser = createParser({
			onRetry: (retry) => {
				said = { retry };
				onRetry(retry);
			},
			onComment: (comment) => this.#items.push({ comment }),
			onId: (id) => this.#items.push({ id }),
			onEvent: ({ id, event, data }) => {
				if (id !== undefined) {
					this.#items.pop(); // its own, which came just before
				}
				this.#items.push({ id, event: { type: event || "message", data, ...said } });
				said = {};
			},
		});
	}

	decode(chunk: Uint8Array): Item[] {
		this.#parser.feed(this.#text.decode(chunk, { stream: true }));
		const items = this.#items;
		this.#items = [];
		return items;
	}
}
