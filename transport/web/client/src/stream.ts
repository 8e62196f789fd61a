import { abortable } from "./abortable.ts";
import { Alarm } from "./alarm.ts";
import { judge, type Lost } from "./answer.ts";
import { Backoff } from "./backoff.ts";
import { BodyDecoder, type Item } from "./body.ts";
import { Ended } from "./ended.ts";
import { guarded, isOffline, networkError, StreamError, type StreamErrorCode } from "./errors.ts";
import { GAP_TYPE, parseGap } from "./gap.ts";
import { Keeper } from "./keeper.ts";
import type { EventStreamOptions, RequestContext, StreamEnd, StreamEvent } from "./options.ts";
import { Reader } from "./reader.ts";
import { singleFlight } from "./refresh.ts";
import { makeRequest } from "./request.ts";
import { watchPage } from "./wake.ts";

export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSED = 2;

type Listener = (event: StreamEvent) => void;

/** A stream that comes back by itself, until it is finished, closed, or refused. */
export interface ResumableStream extends AsyncIterable<StreamEvent> {
	/** Listens for the events of a type, `message` for those without. */
	addEventListener(type: string, listener: (event: StreamEvent) => void): void;
	removeEventListener(type: string, listener: (event: StreamEvent) => void): void;
	/** The id to resume from. */
	readonly lastEventId: string;
	/** 0 connecting, 1 open, 2 closed; the numbers of EventSource. */
	readonly readyState: 0 | 1 | 2;
	/**
	 * Connects anew at once, after the last id. What has failed before counts for the delay
	 * after it all the same. Nothing happens once closed.
	 */
	reconnect(): void;
	/** Ends the stream. No event is dispatched from here on. */
	close(): void;
	/**
	 * Resolves with how the stream ended, rejects with a StreamError where it failed.
	 * Nobody needs to handle it: a failure is no unhandled rejection.
	 */
	readonly done: Promise<StreamEnd>;
}

/**
 * Opens a stream. The request is made after the turn in which this is called, so that
 * listeners and loops begun in it miss nothing. The events of a `for await` loop are all
 * events from its first `next()` on, gaps included; while it handles one, the stream is
 * not read further. Leaving the loop closes the stream.
 */
export function createEventStream(
	url: string | URL,
	options: EventStreamOptions = {},
): ResumableStream {
	return new Stream(String(url), options);
}

/**
 * One loop, so one stream at most: nothing else makes requests, and whatever is to
 * change (close, reconnect, a limit) aborts the attempt that the loop is in.
 */
class Stream implements ResumableStream {
	readonly done: Promise<StreamEnd>;
	lastEventId = "";
	readyState: 0 | 1 | 2 = CONNECTING;

	readonly #url: string;
	readonly #options: EventStreamOptions;
	/** By type. No EventTarget: what a listener throws there, Node.js ends for. */
	readonly #listeners = new Map<string, Set<Listener>>();
	readonly #readers = new Set<Reader>();
	readonly #life = new AbortController();
	readonly #alarm = new Alarm();
	readonly #backoff: Backoff;
	readonly #keeper: Keeper;
	/** Ends what the loop is in: a request, a stream, or a wait. */
	#current = new AbortController();
	#hurried = false;

	constructor(url: string, options: EventStreamOptions) {
		this.#url = url;
		this.#options = options;
		const { signal, retry = {}, storage, subjects = [] } = options;
		const { storageKey = `ringcast:${url} ${subjects}` } = options;
		this.#backoff = new Backoff(retry);
		this.#keeper = new Keeper(storage, storageKey, (error) => this.#fail(error));
		if (signal?.aborted) {
			this.close();
		}
		signal?.addEventListener("abort", () => this.close(), { signal: this.#life.signal });
		this.done = this.#run();
		this.done.catch(() => {});
	}

	addEventListener(type: string, listener: Listener): void {
		this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
	}

	removeEventListener(type: string, listener: Listener): void {
		this.#listeners.get(type)?.delete(listener);
	}

	[Symbol.asyncIterator](): AsyncIterator<StreamEvent> {
		const reader = new Reader(() => this.close());
		this.#readers.add(reader);
		this.done.then(
			() => reader.end(),
			(error) => reader.end(error),
		);
		return reader;
	}

	reconnect(): void {
		this.#hurried = true;
		this.#current.abort();
	}

	close(): void {
		this.readyState = CLOSED;
		this.#life.abort(new Ended({ reason: "closed" }));
		this.#current.abort();
		for (const reader of this.#readers) {
			reader.end();
		}
	}

	async #run(): Promise<StreamEnd> {
		const { signal } = this.#life;
		watchPage(
			() => this.#alarm.wake(),
			() => this.#keeper.flush(),
			signal,
		);
		await Promise.resolve();
		try {
			this.lastEventId =
				this.#options.lastEventId ?? (await abortable(this.#keeper.read(), signal));
			for (let lost: Lost = {}; ; await this.#pause(lost)) {
				signal.throwIfAborted();
				lost = await this.#attempt(lost.unauthorized);
			}
		} catch (thrown) {
			const ended = signal.aborted ? signal.reason : thrown;
			return this.#finish(ended.how ?? ended);
		}
	}

	/**
	 * Makes one request and reads what it answers. Throws Ended where that is the end.
	 * @param unauthorized whether the one before was answered 401
	 */
	async #attempt(unauthorized = false): Promise<Lost> {
		this.#current = new AbortController();
		this.#hurried = false;
		const { signal } = this.#current;
		let offline = isOffline();
		try {
			const context = {
				attempt: this.#backoff.attempt,
				lastEventId: this.lastEventId,
				unauthorized,
				signal,
			};
			const response = await this.#request(context);
			offline = false; // whatever the browser says: there was an answer
			if (response.status === 401) {
				this.#alarm.stop();
				return await this.#refresh(context);
			}
			this.#limit("idle-timeout", this.#options.idleTimeoutMs ?? 45_000);
			return (await abortable(judge(response), signal)) ?? (await this.#consume(response, signal));
		} catch (thrown) {
			if (thrown instanceof Ended || this.#life.signal.aborted) {
				throw thrown;
			}
			return { error: signal.aborted ? signal.reason : networkError(thrown), offline };
		} finally {
			this.#alarm.stop();
			this.#current.abort(); // lets go of a body that was not read to its end
		}
	}

	async #request(context: RequestContext): Promise<Response> {
		const { fetch = globalThis.fetch, connectTimeoutMs = 30_000 } = this.#options;
		const { signal } = context;
		const making = makeRequest(this.#url, this.#options, context);
		const request = await abortable(making, signal).catch((cause) => {
			signal.throwIfAborted();
			throw new Ended(new StreamError("setup", "the request cannot be made", undefined, cause));
		});
		this.#limit("connect-timeout", connectTimeoutMs);
		return await abortable(fetch(...request), signal);
	}

	/** Gives the attempt up after so long. */
	#limit(code: StreamErrorCode, ms: number): void {
		this.#alarm.limit(ms, () =>
			this.#current.abort(new StreamError(code, `nothing within ${ms} ms`)),
		);
	}

	/** After a 401: once for each failure, so that a server that wants none is not asked for ever. */
	async #refresh(context: RequestContext): Promise<Lost> {
		const { onunauthorized: renew, headers } = this.#options;
		const { signal, unauthorized } = context;
		let cause: unknown;
		if (!unauthorized && (renew !== undefined || typeof headers === "function")) {
			try {
				if ((renew && (await abortable(singleFlight(renew, context), signal))) !== false) {
					return { unauthorized: true };
				}
			} catch (thrown) {
				signal.throwIfAborted();
				cause = thrown;
			}
		}
		throw new Ended(new StreamError("unauthorized", "the server answered 401", 401, cause));
	}

	async #consume(response: Response, signal: AbortSignal): Promise<Lost> {
		this.readyState = OPEN;
		this.#backoff.opened();
		this.#call(this.#options.onopen, response);
		const decoder = new BodyDecoder((ms) => this.#backoff.rebase(ms));
		const body = response.body?.getReader();
		// Ends a read() that waits: one listener a stream, not one a chunk.
		signal.addEventListener("abort", () => body?.cancel().catch(() => {}));
		for (;;) {
			signal.throwIfAborted();
			const chunk = await body?.read();
			signal.throwIfAborted();
			if (chunk?.value === undefined) {
				break; // a part of an event that is left in the decoder is dropped with it
			}
			for (const item of decoder.decode(chunk.value)) {
				const held = this.#take(item);
				if (held !== undefined) {
					this.#alarm.stop(); // it is the loop that is slow
					await held;
				}
				signal.throwIfAborted();
			}
			this.#alarm.feed();
		}
		if (this.#options.reconnectOnEnd === false) {
			throw new Ended({ reason: "finished" });
		}
		return {};
	}

	/** Takes what a blank line gave out. A promise where a loop holds the stream back. */
	#take({ comment, id, event }: Item): Promise<void> | undefined {
		const before = this.lastEventId;
		const lastEventId = id ?? before;
		this.lastEventId = lastEventId;
		if (event === undefined) {
			if (comment !== undefined) {
				this.#call(this.#options.oncomment, comment);
			} else {
				this.#keeper.keep(lastEventId);
			}
			return undefined;
		}
		event.lastEventId = lastEventId;
		this.#dispatch(event);
		return this.#readers.size > 0 ? this.#offer(event, before) : this.#dispatched(event);
	}

	#dispatch(event: StreamEvent): void {
		if (event.type === GAP_TYPE) {
			this.#call(this.#options.ongap, parseGap(event.data));
		} else {
			this.#call(this.#options.onmessage, event);
		}
		for (const listener of [...(this.#listeners.get(event.type) ?? [])]) {
			this.#call(listener, event);
		}
	}

	/** Waits until every loop has taken the event: until then a loop has had the one before. */
	async #offer(event: StreamEvent, before: string): Promise<void> {
		for (const reader of this.#readers) {
			const held = reader.offer(event);
			if (held !== undefined) {
				this.lastEventId = before;
				if (!(await held)) {
					throw this.#life.signal.reason;
				}
			}
		}
		this.lastEventId = event.lastEventId;
		this.#dispatched(event);
	}

	#dispatched({ type, lastEventId }: StreamEvent): undefined {
		this.#keeper.keep(lastEventId);
		if (this.#options.finishEvents?.includes(type)) {
			throw new Ended({ reason: "finished" });
		}
	}

	/** Waits for the time of the next attempt. Throws Ended where there is none. */
	async #pause({ error, floorMs = 0, offline, unauthorized }: Lost): Promise<void> {
		this.readyState = CONNECTING;
		if (this.#hurried || unauthorized) {
			return;
		}
		this.#backoff.ended(offline);
		if (error !== undefined && this.#backoff.exhausted) {
			throw new Ended(error);
		}
		this.#current = new AbortController();
		const { signal } = this.#current;
		if (error !== undefined) {
			this.#fail(error);
		}
		const delayMs = this.#backoff.delayMs(floorMs);
		const notice = { attempt: this.#backoff.attempt, delayMs, error };
		const wished = this.#call(this.#options.onretry, notice);
		const waitMs = typeof wished === "number" ? Math.max(wished, floorMs) : delayMs;
		await new Promise<void>((resolve) => {
			signal.onabort = () => resolve();
			this.#alarm.wait(signal.aborted ? 0 : waitMs, floorMs, resolve);
		});
		this.#alarm.stop();
	}

	/** Calls what the user gave; what it throws is reported and changes nothing. */
	#call<T>(callback: ((value: T) => unknown) | undefined, value: T): unknown {
		try {
			return this.#life.signal.aborted ? undefined : callback?.(value);
		} catch (cause) {
			this.#fail(new StreamError("listener", "a listener threw", undefined, cause));
			return undefined;
		}
	}

	#fail(error: StreamError): void {
		const { onerror = unheard } = this.#options;
		guarded(() => onerror(error));
	}

	#finish(how: StreamEnd | StreamError): StreamEnd {
		const { onclose } = this.#options;
		this.readyState = CLOSED;
		this.#life.abort();
		this.#keeper.flush();
		if (how instanceof Error) {
			this.#fail(how);
			guarded(() => onclose?.(undefined, how));
			throw how;
		}
		guarded(() => onclose?.(how, undefined));
		return how;
	}
}

/** What a listener throws is a mistake of the page's, which shall see it somewhere. */
function unheard({ code, cause }: StreamError): void {
	if (code === "listener") {
		throw cause;
	}
}
