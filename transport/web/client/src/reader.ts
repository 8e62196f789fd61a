import type { StreamEvent } from "./options.ts";

/** One `for await` loop: takes an event at a time, and holds the stream back meanwhile. */
export class Reader implements AsyncIterableIterator<StreamEvent> {
	private offered: StreamEvent | undefined;
	private taken: (() => void) | undefined;
	private ask: (() => void) | undefined;
	private ended = false;
	private error: unknown;

	/** @param onleave is called when the loop is left before the end */
	constructor(private readonly onleave: () => void) {}

	/** Resolves when the loop has taken the event, or is over. */
	offer(event: StreamEvent): Promise<void> {
		if (this.ended) {
			return Promise.resolve();
		}
		return new Promise((resolve) => {
			this.offered = event;
			this.taken = resolve;
			this.ask?.();
		});
	}

	/** Ends the loop; an event that it has not taken yet is still handed over. */
	end(error?: unknown): void {
		this.ended = true;
		this.error ??= error;
		this.ask?.();
	}

	async next(): Promise<IteratorResult<StreamEvent>> {
		while (this.offered === undefined && !this.ended) {
			await new Promise<void>((resolve) => {
				this.ask = resolve;
			});
		}
		const event = this.offered;
		this.offered = undefined;
		this.taken?.();
		if (event !== undefined) {
			return { done: false, value: event };
		}
		if (this.error !== undefined) {
			const error = this.error;
			this.error = undefined;
			throw error;
		}
		return { done: true, value: undefined };
	}

	async return(): Promise<IteratorResult<StreamEvent>> {
		this.offered = undefined;
		this.end();
		this.taken?.();
		this.onleave();
		return { done: true, value: undefined };
	}

	[Symbol.asyncIterator](): this {
		return this;
	}
}
