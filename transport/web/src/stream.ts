import type { EventId } from "./ids.ts";

/**
 * - `connecting`: asked for by the user, not answered yet
 * - `live`: open
 * - `retrying`: lost, and being asked for again
 * - `dropped`: closed by the user
 */
export type StreamState = "connecting" | "live" | "retrying" | "dropped";

/** What `ringcast.gap` says: events are gone for good, and why. */
export interface Gap {
	readonly reason: string;
	readonly requested: string;
	readonly oldest: string;
}

/** One event as the browser hands it over. */
export interface StreamEvent {
	readonly id: EventId;
	readonly type: string;
	readonly data: string;
}

/** Where an EventStream reports to. */
export interface StreamListener {
	onState(state: StreamState): void;
	onEvent(event: StreamEvent): void;
	onGap(gap: Gap): void;
	/** The gateway answered with something other than a stream; a retry is due. */
	onRefused(): void;
}

export interface StreamOptions {
	/** Makes the URL to connect to; after is the last id, where there is one. */
	readonly url: (after: EventId | undefined) => URL;
	/** The named events to listen for, besides those without a name. */
	readonly types: readonly string[];
	readonly listener: StreamListener;
	/** The browser's own, unless a test brings its own. */
	readonly connect?: (url: URL) => EventSource;
}

const GAP_TYPE = "ringcast.gap";

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 15_000;
/** How long a connection must last before the next retry is a first one again. */
const STABLE_MS = 5_000;

/**
 * One native EventSource that goes on after its last id, whoever closed it.
 *
 * The browser resumes by itself after a lost connection, with the Last-Event-ID
 * header. Two cases are left to us, because a new EventSource starts without an
 * id, which therefore goes into the URL: the user's drop, and an answer other than
 * 200, which ends an EventSource for good
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#fail-the-connection).
 */
export class EventStream {
	private source: EventSource | undefined;
	private last: EventId | undefined;
	private current: StreamState = "dropped";
	private retryTimer: ReturnType<typeof setTimeout> | undefined;
	private retryMs = RETRY_FIRST_MS;
	private openedAt = 0;

	constructor(private readonly options: StreamOptions) {}

	get state(): StreamState {
		return this.current;
	}

	/** The id of the newest event, or of the gap told last. */
	get lastId(): EventId | undefined {
		return this.last;
	}

	/** Connects, after the last id where there is one. No-op while connected. */
	open(): void {
		if (this.source !== undefined) {
			return;
		}
		clearTimeout(this.retryTimer);
		if (this.current === "dropped") {
			this.setState("connecting");
		}
		const connect = this.options.connect ?? ((url) => new EventSource(url));
		this.source = connect(this.options.url(this.last));
		this.listen(this.source);
	}

	/** Closes the connection until open is called. */
	drop(): void {
		clearTimeout(this.retryTimer);
		this.source?.close();
		this.source = undefined;
		this.setState("dropped");
	}

	/** Does not wait any longer where a retry is due later. */
	hurry(): void {
		if (this.current === "retrying" && this.source === undefined) {
			this.open();
		}
	}

	private listen(source: EventSource): void {
		source.addEventListener("open", () => {
			this.openedAt = Date.now();
			this.setState("live");
		});
		source.addEventListener("error", () => this.lost(source));
		source.addEventListener(GAP_TYPE, (e) => this.gap(e as MessageEvent<string>));
		for (const type of ["message", ...this.options.types]) {
			source.addEventListener(type, (e) => this.event(e as MessageEvent<string>));
		}
	}

	private event(e: MessageEvent<string>): void {
		this.moveTo(e.lastEventId);
		this.options.listener.onEvent({ id: e.lastEventId, type: e.type, data: e.data });
	}

	private gap(e: MessageEvent<string>): void {
		this.moveTo(e.lastEventId);
		this.options.listener.onGap(parseGap(e.data));
	}

	/** Empty means that the connection has had no id yet, not that there is none. */
	private moveTo(id: EventId): void {
		if (id !== "") {
			this.last = id;
		}
	}

	private lost(source: EventSource): void {
		if (this.openedAt > 0 && Date.now() - this.openedAt > STABLE_MS) {
			this.retryMs = RETRY_FIRST_MS;
		}
		this.openedAt = 0;
		this.setState("retrying");
		if (source.readyState === source.CLOSED) {
			this.source = undefined;
			this.options.listener.onRefused();
			const spread = 0.5 + Math.random() / 2;
			this.retryTimer = setTimeout(() => this.open(), this.retryMs * spread);
			this.retryMs = Math.min(this.retryMs * 2, RETRY_MOST_MS);
		}
	}

	private setState(state: StreamState): void {
		if (this.current !== state) {
			this.current = state;
			this.options.listener.onState(state);
		}
	}
}

/** Reads a gap's data. What cannot be read is a gap all the same. */
export function parseGap(data: string): Gap {
	const text = (value: unknown) => (typeof value === "string" ? value : "");
	try {
		const { reason, requested, oldest } = JSON.parse(data) as Record<string, unknown>;
		return { reason: text(reason), requested: text(requested), oldest: text(oldest) };
	} catch {
		return { reason: "", requested: "", oldest: "" };
	}
}
