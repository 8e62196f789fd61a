import { createParser } from "eventsource-parser";

/** What a blank line gives out, the id of the block, then its event; or a comment at its line's end. */
export type Item =
	| { readonly id: string }
	| { readonly id?: never; readonly comment: string }
	| {
			readonly id?: never;
			readonly comment?: never;
			readonly type: string;
			readonly data: string;
	  };

/**
 * Decodes the chunks of a body. An id is given out at the blank line only: a client
 * that takes it over when it reads the line loses the event that is cut behind it.
 */
export class BodyDecoder {
	private readonly text = new TextDecoder("utf-8", { ignoreBOM: true }); // the parser strips it
	private readonly parser: ReturnType<typeof createParser>;
	private items: Item[] = [];

	constructor(onRetry: (ms: number) => void) {
		this.parser = createParser({
			onRetry,
			onComment: (comment) => this.items.push({ comment }),
			onId: (id) => this.items.push({ id }), // a block without data has one too: a bookmark
			onEvent: ({ event, data }) => this.items.push({ type: event || "message", data }),
		});
	}

	decode(chunk: Uint8Array): Item[] {
		this.parser.feed(this.text.decode(chunk, { stream: true }));
		const items = this.items;
		this.items = [];
		return items;
	}
}
