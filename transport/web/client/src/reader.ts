import type { StreamEvent } from "./options.ts";

type Result = IteratorResult<StreamEvent>;

/** One `for await` loop: takes an event at a time, and holds the stream back meanwhile. */
export class Reader implements AsyncIterableIterator<StreamEvent> {
	readonly #onleave: () => void;
	/** Calls of next() that wait for an event. */
	readonly #asked: ((result: Result | Promise<Result>) => void)[] = [];
	/** An event that waits for a call of next(). */
	#held: { readonly event: StreamEvent; readonly taken: (really: boolean) => void } | undefined;
	#ended = false;
	#error: unknown;

	/** @param onleave is called when the loop is left, and ends it */
	constructor(onleave: () => void) {
		this.#onleave = onleave;
	}

	/** Hands an event over. Where the loop is not back for it: whether it has come back. */
	offer(event: StreamEvent): Promise<boolean> | undefined {
		const ask = this.#asked.shift();
		if (ask !== undefined || this.#ended) {
			ask?.({ done: false, value: event });
			return undefined;
		}
		return new Promise((taken) => {
			this.#held = { event, taken };
		});
	}

	/** Ends the loop. An event that it has not taken stays with the stream. */
	end(error?: unknown): void {
		this.#ended = true;
		this.#error ??= error;
		this.#held?.taken(false);
		this.#held = undefined;
		for (const ask of this.#asked.splice(0)) {
			ask(this.next());
		}
	}

	/** At the end it gives the error once. */
	async next(): Promise<Result> {
		const held = this.#held;
		if (held !== undefined) {
			this.#held = undefined;
			held.taken(true);
			return { done: false, value: held.event };
		}
		if (!this.#ended) {
			return new Promise((resolve) => this.#asked.push(resolve));
		}
		const error = this.#error;
		this.#error = undefined;
		if (error !== undefined) {
			throw error;
		}
		return { done: true, value: undefined };
	}

	async return(): Promise<Result> {
		this.#onleave();
		this.#error = undefined;
		return this.next();
	}

	[Symbol.asyncIterator](): this {
		return this;
	}
}
