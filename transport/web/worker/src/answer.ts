import type { WorkerError } from "./errors.ts";
import type { Chunk } from "./handler.ts";
import type { Settings } from "./options.ts";
import type { Publisher, StoredEvent } from "./publisher.ts";

/** The most text of one event, in UTF-16 code units; more goes out as several. */
const MAX_ADD = 16_384;

/** The most bytes of an event's type. */
const MAX_TYPE = 128;

/**
 * The events that a handler has said and that are still to be stored. One is under way at
 * a time, which keeps their order, and what is added meanwhile is one event.
 */
export class Answer {
	private readonly queue: StoredEvent[] = [];
	/** Characters in the queue. */
	private size = 0;
	/** The first half of a character whose second is still to come. */
	private held = "";
	private ended = false;
	private failed: WorkerError | undefined;
	private sending: Promise<void> | undefined;
	/** Wakes who waits for room. */
	private wake = () => {};

	constructor(
		private readonly publisher: Publisher,
		private readonly settings: Settings,
		/** Told when the answer cannot go on. */
		private readonly onfailed: (error: WorkerError) => void,
	) {}

	/** Whether the last event was said. */
	get isEnded(): boolean {
		return this.ended;
	}

	/** Why not all that was said is stored. */
	get failure(): WorkerError | undefined {
		return this.failed;
	}

	/** Takes what a handler says, once there is room. */
	async say(chunk: Chunk): Promise<void> {
		if (typeof chunk === "string") {
			await this.add(chunk);
		} else if (chunk.type === "add") {
			await this.add(String(chunk.data ?? ""));
		} else if (chunk.type === "finish" || chunk.type === "error") {
			await this.end(chunk.type, chunk.data);
		} else {
			const { type, data } = chunk;
			checkType(type);
			await this.push({ type, data: encode(type, data), last: false });
		}
	}

	/** Says the last word, and resolves once all is stored. Does nothing if it was said. */
	async end(type: "finish" | "error", data?: unknown): Promise<void> {
		if (this.ended) {
			return;
		}
		const said = encode(type, data); // what cannot be said is no end
		if (this.held !== "") {
			this.enqueue({ type: "add", data: "\uFFFD", last: false });
			this.held = "";
		}
		this.ended = true;
		this.enqueue({ type, data: said, last: true });
		await this.sending;
	}

	/** Lets go of everything, and takes nothing more. */
	private abandon(error: WorkerError): void {
		this.ended = true;
		this.failed ??= error;
		this.queue.length = 0;
		this.size = 0;
		this.wake();
	}

	private async add(piece: string): Promise<void> {
		let text = this.held + piece;
		this.held = "";
		if (isHighSurrogate(text, text.length - 1)) {
			this.held = text.slice(-1);
			text = text.slice(0, -1);
		}
		while (text !== "") {
			const end = isHighSurrogate(text, MAX_ADD - 1) ? MAX_ADD - 1 : MAX_ADD;
			await this.push({ type: "add", data: text.slice(0, end), last: false });
			text = text.slice(end);
		}
	}

	private async push(event: StoredEvent): Promise<void> {
		while (
			this.failed === undefined &&
			this.queue.length > 0 &&
			this.size + event.data.length > this.settings.buffer
		) {
			await new Promise<void>((resolve) => {
				this.wake = resolve;
			});
		}
		if (this.failed !== undefined) {
			throw this.failed;
		}
		if (!this.ended) {
			this.enqueue(event);
		}
	}

	private enqueue(event: StoredEvent): void {
		this.size += event.data.length;
		const before = this.queue.at(-1);
		if (
			!this.settings.separate &&
			event.type === "add" &&
			before?.type === "add" &&
			before.data.length + event.data.length <= MAX_ADD
		) {
			this.queue[this.queue.length - 1] = { ...before, data: `${before.data}${event.data}` };
		} else {
			this.queue.push(event);
		}
		this.sending ??= this.send();
	}

	/** Stores what is in the queue until it is empty. */
	private async send(): Promise<void> {
		await Promise.resolve(); // what is said in the same turn goes out together
		for (let event = this.queue.shift(); event !== undefined; event = this.queue.shift()) {
			this.size -= event.data.length;
			this.wake();
			try {
				await this.publisher.publish(event);
			} catch (error) {
				this.giveUp(error as WorkerError, event);
			}
		}
		this.sending = undefined;
	}

	/** The text is not whole any more. Where NATS can be told, it still is. */
	private giveUp(error: WorkerError, event: StoredEvent): void {
		const canTell = error.code === "too-large" && event.type !== "error";
		const told = this.queue.filter((e) => e.type === "error");
		this.abandon(error);
		if (canTell) {
			this.ended = told.length > 0;
			this.queue.push(...told);
		}
		this.onfailed(error);
	}
}

function isHighSurrogate(text: string, index: number): boolean {
	const unit = text.charCodeAt(index); // NaN outside the text
	return unit >= 0xd800 && unit < 0xdc00;
}

/** Throws for a type that a gateway would leave out (PROTOCOL.md, "Publish"), or NATS not take. */
function checkType(type: unknown): void {
	const isType =
		typeof type === "string" &&
		/^(?!ringcast\.)[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(type) &&
		new TextEncoder().encode(type).length <= MAX_TYPE;
	if (!isType) {
		throw new TypeError(`an event cannot have the type ${JSON.stringify(type)}`);
	}
}

function encode(type: string, data: unknown): string | Uint8Array {
	const isOwn = type === "info" || type === "finish" || type === "error";
	if (data === undefined) {
		return "";
	}
	return !isOwn && (typeof data === "string" || data instanceof Uint8Array)
		? data
		: (JSON.stringify(data) ?? ""); // a function, a symbol
}
