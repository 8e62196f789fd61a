import { BodyDecoder } from "../body.ts";
import { type Entry, entriesOf, type Log } from "./log.ts";
import { order } from "./order.ts";

/** What a tab that is slow to read may have waiting: with more it leaves and comes back. */
const MOST_WAITING_BYTES = 2_000_000;

/** A blank line: bytes, so that who waits for some knows that the stream lives. */
const ALIVE = "\n";

/** What a body needs of its tab. */
export interface Source {
	/** Of the shared stream, as long as one is open. */
	readonly log: Log | undefined;
	/** Has the tab ask anew from the last id dispatched. */
	resync(): void;
}

/**
 * The body of a tab's answer: the shared stream, from the tab's own position on. Where the log
 * does not hold what follows that position, it comes from a connection of the tab's own until
 * the two meet.
 */
export class SharedBody {
	readonly stream: ReadableStream<Uint8Array>;
	#controller!: ReadableStreamDefaultController<Uint8Array>;
	readonly #encoder = new TextEncoder();
	/** Whether it has its place in the shared stream. */
	#joined = false;
	/** The tab's own connection, until it has met the shared one. */
	#own: ReadableStreamDefaultReader<Uint8Array> | undefined;
	readonly #decoder = new BodyDecoder((ms) => this.#write(`retry: ${ms}\n`));
	/** This body has more than the shared stream, which is yet to come here. */
	#ahead = false;
	/** Too much is waiting: what follows is asked for anew. */
	#behind = false;
	#over = false;

	readonly #source: Source;
	/** What began without an id has no claim to what was between the values of a snapshot. */
	readonly #fresh: boolean;
	#position: string;

	/** @param position what the tab has had */
	constructor(source: Source, position: string) {
		this.#source = source;
		this.#fresh = position === "";
		this.#position = position;
		this.stream = new ReadableStream<Uint8Array>(
			{
				start: (controller) => {
					this.#controller = controller;
				},
				pull: () => this.#pull(),
				cancel: () => this.#end(),
			},
			new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
		);
	}

	/** Takes its place in the shared stream; false where the log does not tell what comes next. */
	join(): boolean {
		const { log } = this.#source;
		const entries = log?.snapshot && !this.#fresh ? undefined : log?.since(this.#position);
		if (entries === undefined) {
			return false;
		}
		this.#joined = true;
		this.#leaveOwn();
		this.#write(entries.map(({ text }) => text).join(""));
		this.#position = entries.at(-1)?.id ?? this.#position;
		this.#ahead = this.#position !== log?.position;
		return true;
	}

	/** Begins where the shared stream is, as a client without an id does. */
	joinNow(log: Log): void {
		this.#joined = true;
		this.#position = log.position;
		this.#write(this.#position && `id: ${this.#position}\n\n`);
	}

	/** Reads a connection of its own until the two meet. */
	catchUp(response: Response): void {
		this.#own = response.body?.getReader();
		if (this.#joined || this.#over) {
			this.#leaveOwn();
		}
	}

	/** What the shared stream gave; the log has it already. */
	push(entries: readonly Entry[]): void {
		if (!this.#joined) {
			this.join();
			return;
		}
		let text = "";
		for (const entry of entries) {
			if (this.#isNews(entry)) {
				text += entry.text;
				this.#position = entry.id;
			}
		}
		this.#write(text || ALIVE);
	}

	/** The shared stream is lost, which is no matter to one that has a connection of its own. */
	lost(error?: Error): void {
		if (this.#joined) {
			this.finish(error);
		}
	}

	finish(error?: unknown): void {
		if (this.#over) {
			return;
		}
		this.#end();
		if (error === undefined) {
			this.#controller.close();
		} else {
			this.#controller.error(error);
		}
	}

	#end(): void {
		this.#over = true;
		this.#leaveOwn();
	}

	#leaveOwn(): void {
		void this.#own?.cancel().catch(() => {}); // of a connection that was lost
		this.#own = undefined;
	}

	async #pull(): Promise<void> {
		const own = this.#own;
		if (this.#behind) {
			this.#source.resync();
		}
		try {
			const chunk = await own?.read();
			if (own !== this.#own || chunk === undefined) {
				return;
			}
			if (chunk.done) {
				this.finish();
				return;
			}
			const entries = entriesOf(this.#decoder.decode(chunk.value), this.#position);
			this.#position = entries.at(-1)?.id ?? this.#position;
			this.#write(entries.map(({ text }) => text).join("") || ALIVE);
			this.join();
		} catch (error) {
			this.finish(error);
		}
	}

	/** Whether this body has not had it, from a stream that was ahead of the shared one. */
	#isNews({ id }: Entry): boolean {
		const newer = this.#ahead ? order(id, this.#position) : 1;
		if (newer === undefined) {
			this.#behind = true; // the shared stream was replaced on its way here
			this.#source.resync();
			return false;
		}
		this.#ahead = newer < 0;
		return newer > 0;
	}

	#write(text: string): void {
		if (this.#over || this.#behind || text === "") {
			return;
		}
		this.#controller.enqueue(this.#encoder.encode(text));
		this.#behind = (this.#controller.desiredSize ?? 0) < -MOST_WAITING_BYTES;
	}
}
