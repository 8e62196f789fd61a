import { judge } from "./answer.ts";
import { Backoff } from "./backoff.ts";
import { BodyDecoder, type Item } from "./body.ts";
import { report, StreamError } from "./errors.ts";
import { type Listener, Listeners } from "./listeners.ts";
import type { EventStreamOptions, Gap, RequestContext, StreamEnd, StreamEvent } from "./options.ts";
import { Reader } from "./reader.ts";
import { singleFlight } from "./refresh.ts";
import { makeRequest } from "./request.ts";
import { abortable, sleep, whenOnline } from "./time.ts";
import { within } from "./watchdog.ts";

export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSED = 2;

/** A stream that comes back by itself, until it is finished, closed, or refused. */
export interface ResumableStream extends AsyncIterable<StreamEvent> {
	/** Listens for the events of a type, `message` for those without. */
	addEventListener(type: string, listener: (event: StreamEvent) => void): void;
	removeEventListener(type: string, listener: (event: StreamEvent) => void): void;
	/** The id to resume from. */
	readonly lastEventId: string;
	/** 0 connecting, 1 open, 2 closed; the numbers of EventSource. */
	readonly readyState: 0 | 1 | 2;
	/** Connects anew at once, after the last id. Nothing happens once closed. */
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

/** How one attempt ended that is not the end of the stream. */
interface Lost {
	readonly error: StreamError | undefined;
	readonly floorMs: number;
}

/** Thrown to end the stream: how, or the error it fails with. */
class Ended {
	constructor(readonly how: StreamEnd | StreamError) {}
}

const GAP_TYPE = "ringcast.gap";

/**
 * One loop, so one stream at most: nothing else makes requests, and whatever is to
 * change (close, reconnect, a limit) aborts the attempt that the loop is in.
 */
class Stream implements ResumableStream {
	readonly done: Promise<StreamEnd>;
	lastEventId = "";
	readyState: 0 | 1 | 2 = CONNECTING;

	private readonly listeners = new Listeners();
	private readonly readers = new Set<Reader>();
	private readonly life = new AbortController();
	private readonly backoff: Backoff;
	/** Ends what the loop is in: a request, a stream, or a wait. */
	private current = new AbortController();
	private hurried = false;
	/** A 401 was answered since the last stream was opened. */
	private unauthorized = false;

	constructor(
		private readonly url: string,
		private readonly options: EventStreamOptions,
	) {
		this.backoff = new Backoff(options.retry ?? {});
		const { signal } = options;
		const abort = () => this.close();
		if (signal?.aborted) {
			this.close();
		}
		signal?.addEventListener("abort", abort);
		this.done = this.run().finally(() => signal?.removeEventListener("abort", abort));
		this.done.then(
			(end) => this.finish(end),
			(error) => this.finish(undefined, error),
		);
	}

	addEventListener(type: string, listener: Listener): void {
		this.listeners.add(type, listener);
	}

	removeEventListener(type: string, listener: Listener): void {
		this.listeners.remove(type, listener);
	}

	[Symbol.asyncIterator](): AsyncIterator<StreamEvent> {
		const reader = new Reader(() => this.close());
		this.readers.add(reader);
		if (this.readyState === CLOSED) {
			this.done.then(
				() => reader.end(),
				(error) => reader.end(error),
			);
		}
		return reader;
	}

	reconnect(): void {
		this.hurried = true;
		this.backoff.reset();
		this.current.abort(new StreamError("network", "reconnect() was called"));
	}

	close(): void {
		this.readyState = CLOSED;
		const ended = new Ended({ reason: "closed" });
		this.life.abort(ended);
		this.current.abort(ended);
	}

	private async run(): Promise<StreamEnd> {
		await Promise.resolve();
		try {
			await this.restore();
			for (;;) {
				this.life.signal.throwIfAborted();
				await this.pause(await this.attempt());
			}
		} catch (thrown) {
			const ended = this.life.signal.aborted ? this.life.signal.reason : thrown;
			const how = ended instanceof Ended ? ended.how : ended;
			if (how instanceof Error) {
				throw how;
			}
			return how;
		} finally {
			this.readyState = CLOSED;
		}
	}

	/** Takes up the id of the last visit. */
	private async restore(): Promise<void> {
		const { lastEventId, storage } = this.options;
		this.lastEventId = lastEventId ?? "";
		if (lastEventId === undefined && storage !== undefined) {
			try {
				const kept = await abortable(
					Promise.resolve(storage.getItem(this.storageKey)),
					this.life.signal,
				);
				this.lastEventId = kept ?? "";
			} catch (cause) {
				this.fail(new StreamError("storage", "the last id cannot be read", undefined, cause));
			}
		}
	}

	/** Makes one request and reads what it answers. Throws Ended where that is the end. */
	private async attempt(): Promise<Lost> {
		this.readyState = CONNECTING;
		this.current = new AbortController();
		this.hurried = false;
		const { signal } = this.current;
		try {
			const context = {
				attempt: this.backoff.attempt,
				lastEventId: this.lastEventId,
				unauthorized: this.unauthorized,
				signal,
			};
			const response = await this.request(context);
			const verdict = await abortable(judge(response), signal);
			switch (verdict.kind) {
				case "stream":
					return await this.consume(response, signal);
				case "finished":
					throw new Ended({ reason: "finished" });
				case "json":
					throw new Ended({ reason: "json", status: response.status, body: verdict.body });
				case "unauthorized":
					return await this.refresh(context);
				case "fail":
					throw new Ended(verdict.error);
				case "retry":
					return verdict;
			}
		} catch (thrown) {
			if (thrown instanceof Ended || this.life.signal.aborted) {
				throw thrown;
			}
			return { error: signal.aborted ? signal.reason : networkError(thrown), floorMs: 0 };
		} finally {
			this.current.abort(); // lets go of a body that was not read to its end
		}
	}

	private async request(context: RequestContext): Promise<Response> {
		const { fetch = globalThis.fetch, connectTimeoutMs = 30_000 } = this.options;
		let request: Awaited<ReturnType<typeof makeRequest>>;
		try {
			request = await abortable(makeRequest(this.url, this.options, context), context.signal);
		} catch (cause) {
			context.signal.throwIfAborted();
			throw new Ended(new StreamError("setup", "the request cannot be made", undefined, cause));
		}
		const answer = abortable(fetch(...request), context.signal);
		return await within(connectTimeoutMs, "connect-timeout", answer, (e) => this.current.abort(e));
	}

	/** After a 401: once for each failure, so that a server that wants none is not asked for ever. */
	private async refresh(context: RequestContext): Promise<Lost> {
		const error = new StreamError("unauthorized", "the server answered 401", 401);
		const { onunauthorized, headers } = this.options;
		if (this.unauthorized || (onunauthorized === undefined && typeof headers !== "function")) {
			throw new Ended(error);
		}
		this.unauthorized = true;
		if (onunauthorized !== undefined) {
			try {
				const refreshed = singleFlight(onunauthorized, context);
				if ((await abortable(refreshed, context.signal)) === false) {
					throw error;
				}
			} catch (cause) {
				context.signal.throwIfAborted();
				throw new Ended(
					cause === error ? error : new StreamError(error.code, error.message, 401, cause),
				);
			}
		}
		this.hurried = true;
		return { error, floorMs: 0 };
	}

	private async consume(response: Response, signal: AbortSignal): Promise<Lost> {
		this.readyState = OPEN;
		this.unauthorized = false;
		this.backoff.opened();
		this.call(this.options.onopen, response);
		const decoder = new BodyDecoder((ms) => this.backoff.rebase(ms));
		const body = response.body?.getReader();
		const { idleTimeoutMs = 45_000 } = this.options;
		for (;;) {
			signal.throwIfAborted();
			if (body === undefined) {
				return this.ended();
			}
			const read = abortable(body.read(), signal);
			const chunk = await within(idleTimeoutMs, "idle-timeout", read, (e) => this.current.abort(e));
			if (chunk.done) {
				return this.ended();
			}
			for (const item of decoder.decode(chunk.value)) {
				await this.take(item, signal);
			}
		}
	}

	/** A body that ended cleanly: a part of an event left in the decoder is dropped with it. */
	private ended(): Lost {
		if (this.options.reconnectOnEnd === false) {
			throw new Ended({ reason: "finished" });
		}
		return { error: undefined, floorMs: 0 };
	}

	private async take(item: Item, signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		if (item.id !== undefined) {
			this.lastEventId = item.id;
			return;
		}
		if (item.comment !== undefined) {
			this.call(this.options.oncomment, item.comment);
			return;
		}
		await this.dispatch(
			{ type: item.type, data: item.data, lastEventId: this.lastEventId },
			signal,
		);
		this.keep();
		if (this.options.finishEvents?.includes(item.type)) {
			throw new Ended({ reason: "finished" });
		}
	}

	private async dispatch(event: StreamEvent, signal: AbortSignal): Promise<void> {
		if (event.type === GAP_TYPE) {
			this.call(this.options.ongap, parseGap(event.data));
		} else {
			this.call(this.options.onmessage, event);
		}
		for (const listener of this.listeners.of(event.type)) {
			this.call(listener, event);
		}
		for (const reader of this.readers) {
			// Not given up for reconnect(): the id says that the loop has had the event.
			await abortable(reader.offer(event), this.life.signal);
		}
		signal.throwIfAborted();
	}

	/** Keeps the id once every listener has had the event. */
	private keep(): void {
		const { storage } = this.options;
		const failed = (cause: unknown) =>
			this.fail(new StreamError("storage", "the last id cannot be kept", undefined, cause));
		try {
			Promise.resolve(storage?.setItem(this.storageKey, this.lastEventId)).catch(failed);
		} catch (cause) {
			failed(cause);
		}
	}

	private get storageKey(): string {
		const { storageKey, subjects = [] } = this.options;
		return storageKey ?? `ringcast:${this.url} ${subjects}`;
	}

	/** Waits for the time of the next attempt. Throws Ended where there is none. */
	private async pause({ error, floorMs }: Lost): Promise<void> {
		this.readyState = CONNECTING;
		if (this.hurried) {
			return;
		}
		const offline = error?.code === "offline";
		if (!offline) {
			this.backoff.ended();
			if (error !== undefined && this.backoff.exhausted) {
				throw new Ended(error);
			}
		}
		if (error !== undefined) {
			this.fail(error);
		}
		const delayMs = this.backoff.delayMs(floorMs);
		this.call(this.options.onretry, { attempt: this.backoff.attempt, delayMs, error });
		this.life.signal.throwIfAborted();
		this.current = new AbortController();
		const forget = offline ? whenOnline(() => this.current.abort()) : undefined;
		await sleep(this.hurried ? 0 : delayMs, this.current.signal);
		forget?.();
	}

	/** Calls what the user gave; what it throws is reported and changes nothing. */
	private call<T>(callback: ((value: T) => void) | undefined, value: T): void {
		if (callback === undefined || this.life.signal.aborted) {
			return;
		}
		try {
			callback(value);
		} catch (cause) {
			this.fail(new StreamError("listener", "a listener threw", undefined, cause));
		}
	}

	private fail(error: StreamError): void {
		const { onerror } = this.options;
		if (onerror === undefined) {
			if (error.code === "listener") {
				report(error.cause);
			}
			return;
		}
		try {
			onerror(error);
		} catch (thrown) {
			report(thrown);
		}
	}

	private finish(end: StreamEnd | undefined, error?: StreamError): void {
		if (error !== undefined) {
			this.fail(error);
		}
		for (const reader of this.readers) {
			reader.end(error);
		}
		try {
			this.options.onclose?.(end, error);
		} catch (thrown) {
			report(thrown);
		}
	}
}

function networkError(cause: unknown): StreamError {
	return globalThis.navigator?.onLine === false
		? new StreamError("offline", "there is no network", undefined, cause)
		: new StreamError(
				"network",
				"the connection failed: the server cannot be reached, cut it, or CORS forbids it",
				undefined,
				cause,
			);
}

/** Reads a gap's data. What cannot be read is a gap all the same. */
function parseGap(data: string): Gap {
	const text = (value: unknown) => (typeof value === "string" ? value : "");
	try {
		const { reason, requested, oldest } = JSON.parse(data) as Record<string, unknown>;
		return { reason: text(reason), requested: text(requested), oldest: text(oldest) };
	} catch {
		return { reason: "", requested: "", oldest: "" };
	}
}
