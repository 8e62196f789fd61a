import { setTimeout as delay } from "node:timers/promises";
import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection, nuid } from "@nats-io/nats-core";
import { WorkerError } from "./errors.ts";

/** An event as it is stored. */
export interface StoredEvent {
	readonly type: string;
	readonly data: string | Uint8Array;
	/** The last of its answer. */
	readonly last: boolean;
}

/** An acknowledgement that was lost with a connection never comes. */
const ACK_TIMEOUT_MS = 2_000;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;

/** Room for an event's headers in what the server takes. */
const BESIDE_PAYLOAD = 2_048;

/**
 * JetStream's error codes: the newest event is another one; so is the newest message id; the
 * stream takes no such size.
 */
const WRONG_LAST = 10_071;
const WRONG_LAST_ID = 10_070;
const LARGER_THAN_STREAM = 10_054;

/**
 * Stores the events of one answer, each after the one before it and once: it has an id, by
 * which it is stored once however often it is published, and names the event before it, so
 * that nothing comes after an end that the gateway has put to the answer.
 */
export class Publisher {
	private count = 0;
	/**
	 * Whether the event in hand may have been stored before. A server that is alone looks at the
	 * expected sequence before it looks for duplicates, one in a cluster the other way round; both
	 * look at the expected id after that. One that nothing has makes it a question.
	 */
	private inDoubt = false;
	/** Begins the message ids of this very answer. */
	private readonly nonce = nuid.next();

	constructor(
		private readonly nc: NatsConnection,
		private readonly js: JetStreamClient,
		private readonly subject: string,
		/** The sequence of the newest event, 0 where nothing is left of the answer. */
		private last: number,
		/** Of the question, whose trace goes on. */
		private readonly question: MsgHdrs,
		private readonly patienceMs: number,
	) {}

	/** Resolves once the event is stored, and rejects with a WorkerError. */
	async publish(event: StoredEvent): Promise<void> {
		this.count++;
		const payload =
			typeof event.data === "string" ? new TextEncoder().encode(event.data) : event.data;
		const most = (this.nc.info?.max_payload ?? Number.POSITIVE_INFINITY) - BESIDE_PAYLOAD;
		if (payload.length > most) {
			throw new WorkerError("too-large", `an event has ${payload.length} bytes, ${most} are taken`);
		}
		this.inDoubt = false;
		const giveUpAt = Date.now() + this.patienceMs;
		for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
			try {
				this.last = await this.attempt(event, payload);
				return;
			} catch (error) {
				if (this.retryAtOnce(error)) {
					continue;
				}
				if (this.nc.isClosed() || Date.now() + wait > giveUpAt) {
					throw new WorkerError("unavailable", "an event cannot be stored", error);
				}
			}
			await delay(wait);
		}
	}

	private async attempt(event: StoredEvent, payload: Uint8Array): Promise<number> {
		const { seq } = await this.js.publish(this.subject, payload, {
			msgID: `${this.nonce}.${this.count}`,
			headers: this.headers(event),
			timeout: ACK_TIMEOUT_MS,
			expect: this.inDoubt
				? { lastMsgID: `${this.nonce}.none` }
				: { lastSubjectSequence: this.last },
		});
		return seq;
	}

	private headers(event: StoredEvent): MsgHdrs {
		const h = headers();
		h.set("Ringcast-Event", event.type);
		if (event.last) {
			h.set("Ringcast-End", "true");
		}
		for (const name of ["traceparent", "tracestate"]) {
			if (this.question.has(name)) {
				h.set(name, this.question.get(name));
			}
		}
		return h;
	}

	/** Throws what no other attempt would change. */
	private retryAtOnce(error: unknown): boolean {
		if (!(error instanceof JetStreamApiError)) {
			return false;
		}
		if (error.code === LARGER_THAN_STREAM) {
			throw new WorkerError("too-large", "an event is larger than the stream takes", error);
		}
		if (error.code === WRONG_LAST) {
			if (error.message.endsWith(": 0")) {
				this.last = 0; // the stream's limits have taken all of the answer
			} else {
				this.inDoubt = true;
			}
			return true;
		}
		if (error.code === WRONG_LAST_ID) {
			throw new WorkerError("ended", "the gateway has ended the answer", error);
		}
		return false;
	}
}
