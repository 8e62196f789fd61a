import type { StreamError } from "./errors.ts";

/** One event as it came in. */
export interface StreamEvent {
	/** `message` for an event without a type. */
	readonly type: string;
	readonly data: string;
	/** The id to resume from after this event; `""` as long as the server has sent none. */
	readonly lastEventId: string;
	/** What the server has said in `retry:` since the event before, in ms. */
	readonly retry?: number | undefined;
}

/** What a gateway tells of events that are gone for good (`ringcast.gap`). */
export interface Gap {
	/** `expired`, `reset` or `unknown`; see "Gaps" in PROTOCOL.md. */
	readonly reason: string;
	/** The id that could not be resumed from. */
	readonly requested: string;
	/** The id of the oldest event held anywhere. */
	readonly oldest: string;
}

/** What the functions that make a request get to know about it. */
export interface RequestContext {
	/** 0 for the first request, and for the first after a stable stream. */
	readonly attempt: number;
	readonly lastEventId: string;
	/** The request before this one was answered 401. */
	readonly unauthorized: boolean;
	/** Aborted when the request is no longer wanted. */
	readonly signal: AbortSignal;
}

/** How a stream ended, other than by an error. */
export type StreamEnd =
	/** An event of `finishEvents`, a 204, or a clean end with `reconnectOnEnd: false`. */
	| { readonly reason: "finished" }
	/** `close()`, the signal, or leaving a `for await` loop. */
	| { readonly reason: "closed" }
	/** The answer was JSON and no stream. */
	| { readonly reason: "json"; readonly status: number; readonly body: unknown };

/** A reconnect that is due. */
export interface RetryNotice {
	/** 1 for the first after a stable stream. */
	readonly attempt: number;
	readonly delayMs: number;
	/** Why; undefined after a clean end of the stream. */
	readonly error: StreamError | undefined;
}

export interface RetryOptions {
	/** What the first delay is drawn from; a server's `retry:` takes its place. Default 1,000. */
	readonly baseMs?: number;
	/** No delay is drawn from more than this, but for a greater `retry:`. Default 30,000. */
	readonly maxMs?: number;
	/**
	 * Attempts in a row that may fail before the stream does. Default 5 until a stream
	 * was opened once, which ends the endless retries of a wrong URL or a CORS error,
	 * and unlimited from then on. Not counted: attempts while offline.
	 */
	readonly maxAttempts?: number;
	/** Full jitter: a delay is anything between 0 and the backoff. Default true. */
	readonly jitter?: boolean;
}

/** `localStorage`, `sessionStorage`, or anything of their kind. */
export interface StreamStorage {
	getItem(key: string): string | null | Promise<string | null>;
	setItem(key: string, value: string): unknown;
}

type Provider<T> = T | ((context: RequestContext) => T | Promise<T>);

export interface EventStreamOptions {
	/** Subjects of a Ringcast gateway: `subject` in the query of a GET, or in the body of a POST. */
	readonly subjects?: string | readonly string[];
	/** Default `POST` with a body, else `GET`. */
	readonly method?: string;
	/** An object is sent as JSON. A function is called anew for each request. */
	readonly body?: Provider<BodyInit | object | null | undefined>;
	/** A function is called anew for each request, so that a token is never an old one. */
	readonly headers?: Provider<HeadersInit | undefined>;
	readonly credentials?: RequestCredentials | undefined;
	/** Closes the stream when it is aborted. */
	readonly signal?: AbortSignal | null | undefined;
	/** Default the global one. */
	readonly fetch?: typeof fetch;
	/** Where a gateway begins without an id: `now`, `oldest`, `last`, a time, a duration. */
	readonly from?: string;
	/** The id to resume from; wins over what `storage` holds. */
	readonly lastEventId?: string;
	/**
	 * Keeps the last id for the next visit, once its event was dispatched; also those of
	 * quiet streams. Written once a second, at the end, and when the page is left: a tab
	 * that crashes has the events of its last second again, and never misses one.
	 */
	readonly storage?: StreamStorage;
	/** Default `ringcast:`, the URL and the subjects. */
	readonly storageKey?: string;
	readonly retry?: RetryOptions;
	/** From the request to the headers of its answer. 0: no limit. Default 30,000. */
	readonly connectTimeoutMs?: number;
	/**
	 * The longest time without a byte; comments count. A JSON answer must be whole within
	 * it. 0: no limit. Default 45,000, three heartbeats of a gateway: set 0 for a server
	 * that sends none.
	 */
	readonly idleTimeoutMs?: number;
	/** Types of events after which the stream is finished. */
	readonly finishEvents?: readonly string[];
	/** Whether a clean end of the body is reconnected, as EventSource does. Default true. */
	readonly reconnectOnEnd?: boolean;
	/** A stream was opened. Anything thrown here or in another callback goes to `onerror`. */
	readonly onopen?: (response: Response) => void;
	/** Every event of any type but gaps. */
	readonly onmessage?: (event: StreamEvent) => void;
	/** A comment, without its colon and one space after it, in its order among the events. */
	readonly oncomment?: (text: string) => void;
	/** Every failure, those that are retried too; not a 401 that `onunauthorized` takes care of. */
	readonly onerror?: (error: StreamError) => void;
	/** Once, at the end; with the error where the stream failed. */
	readonly onclose?: (end: StreamEnd | undefined, error: StreamError | undefined) => void;
	/** A reconnect is due; a number that it returns is its delay in ms, `Retry-After` permitting. */
	readonly onretry?: (notice: RetryNotice) => unknown;
	readonly ongap?: (gap: Gap) => void;
	/**
	 * An answer was 401: get a new token. The request is made again once, with fresh
	 * headers, unless this returns false or throws. Streams that share the function
	 * share a call that is under way.
	 */
	readonly onunauthorized?: (context: RequestContext) => unknown;
}
