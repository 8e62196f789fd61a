import {
	createEventStream,
	type EventStreamOptions,
	type Gap,
	type ResumableStream,
	type StreamEnd,
	type StreamError,
	type StreamEvent,
} from "#client";
import type { EventId } from "./ids.ts";
import { problemDetail } from "./problem.ts";
import { token } from "./token.ts";

/**
 * - `connecting`: asked for by the user, not answered yet
 * - `live`: open
 * - `retrying`: lost, and being asked for again
 * - `dropped`: closed by the user
 * - `refused`: the gateway said no, and why, or it wants a token
 */
export type LinkState = "connecting" | "live" | "retrying" | "dropped" | "refused";

/** Where a Link reports to. */
export interface LinkListener {
	onState(state: LinkState): void;
	onEvent(event: StreamEvent): void;
	onGap?(gap: Gap): void;
}

/** What to stream, as createEventStream takes it. */
export type LinkRequest = Pick<
	EventStreamOptions,
	"subjects" | "from" | "storage" | "storageKey"
> & {
	/** The other parameters of the stream: conflate, type, format. */
	readonly query?: Readonly<Record<string, string>>;
};

/**
 * A stream that the user can drop and open again, after the last id. What the network
 * cuts comes back by itself.
 */
export class Link {
	private stream: ResumableStream | undefined;
	private last: EventId | undefined;
	private current: LinkState = "dropped";
	private why = "";

	constructor(
		private readonly request: LinkRequest,
		private readonly listener: LinkListener,
	) {}

	get state(): LinkState {
		return this.current;
	}

	/** Why the gateway refused, in its own words; empty while it does not, and for want of a token. */
	get refusal(): string {
		return this.why;
	}

	/** The id to resume from; undefined as long as there has been none. */
	get lastId(): EventId | undefined {
		return this.stream?.lastEventId || this.last;
	}

	/** Connects, after the last id where there is one. Does nothing while connected. */
	open(): void {
		if (this.stream !== undefined) {
			return;
		}
		this.why = "";
		this.setState("connecting");
		this.stream = this.connect();
	}

	/** Opens again what was refused, now that there is another token. */
	retry(): void {
		if (this.current === "refused") {
			this.open();
		}
	}

	/** Closes the connection until open is called. */
	drop(): void {
		this.release();
		this.setState("dropped");
	}

	private connect(): ResumableStream {
		const { query = {}, ...request } = this.request;
		const stream: ResumableStream = createEventStream(`v1/stream?${new URLSearchParams(query)}`, {
			...request,
			fetch: token.fetch,
			...(this.last !== undefined && { lastEventId: this.last }),
			retry: { maxAttempts: Number.POSITIVE_INFINITY },
			onopen: () => this.setState("live"),
			onretry: () => this.setState("retrying"),
			onmessage: (event) => this.listener.onEvent(event),
			ongap: (gap) => this.listener.onGap?.(gap),
			onclose: (end, error) => this.ended(stream, end, error),
		});
		return stream;
	}

	private ended(stream: ResumableStream, end?: StreamEnd, error?: StreamError): void {
		if (stream !== this.stream) {
			return; // the user closed it
		}
		this.release();
		this.why = refusal(end, error);
		this.setState("refused");
	}

	private release(): void {
		this.last = this.lastId;
		const { stream } = this;
		this.stream = undefined;
		stream?.close();
	}

	private setState(state: LinkState): void {
		if (this.current !== state) {
			this.current = state;
			this.listener.onState(state);
		}
	}
}

/**
 * Says in words how a stream ended that the user did not close; nothing of a 401, which
 * the form for a token speaks of.
 */
function refusal(end?: StreamEnd, error?: StreamError): string {
	if (error !== undefined) {
		return error.code === "unauthorized" ? "" : error.message;
	}
	if (end?.reason === "json") {
		return problemDetail(end.body) ?? `the gateway answered ${end.status}`;
	}
	return "the subjects have ended";
}
