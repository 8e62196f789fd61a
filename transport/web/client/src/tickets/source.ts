import { Alarm } from "../alarm.ts";
import { Backoff } from "../backoff.ts";
import { guarded, StreamError } from "../errors.ts";
import { GAP_TYPE, parseGap } from "../gap.ts";
import type { Gap, RetryOptions, StreamEnd } from "../options.ts";
import { watchPage } from "../wake.ts";
import {
	ask,
	createTicket,
	type StreamParameters,
	type Ticket,
	type TicketOptions,
} from "./ticket.ts";

type Listener = (event: MessageEvent<string>) => void;

export interface EventSourceOptions extends TicketOptions {
	/** Default the global one; in Node.js the package `eventsource` has one. */
	readonly EventSource?: typeof EventSource;
	readonly retry?: RetryOptions;
	readonly onopen?: () => void;
	/** Events without a type, as an EventSource has it: others by `addEventListener`. */
	readonly onmessage?: Listener;
	readonly ongap?: (gap: Gap) => void;
	/** Every failure that no EventSource takes care of, those that are tried again too. */
	readonly onerror?: (error: StreamError) => void;
}

/** A native EventSource that is replaced when its ticket has expired. */
export interface TicketedSource {
	addEventListener(type: string, listener: Listener): void;
	removeEventListener(type: string, listener: Listener): void;
	/** The id to resume from. */
	readonly lastEventId: string;
	/** 0 connecting, 1 open, 2 closed; the numbers of EventSource. */
	readonly readyState: number;
	close(): void;
	/** Resolves at the end, rejects with a StreamError. Nobody needs to handle it. */
	readonly done: Promise<StreamEnd>;
}

/**
 * Gets a ticket and opens it with a native EventSource, which reconnects by itself until
 * the ticket has expired. Then it gets another, and goes on after the last event.
 */
export function openEventSource(
	endpoint: string | URL,
	parameters: StreamParameters,
	options: EventSourceOptions = {},
): TicketedSource {
	return new Source(endpoint, parameters, options);
}

const CLOSED = 2;

class Source implements TicketedSource {
	readonly done: Promise<StreamEnd>;
	lastEventId: string;

	readonly #endpoint: string | URL;
	readonly #parameters: StreamParameters;
	readonly #options: EventSourceOptions;
	readonly #listeners = new Map<string, Set<Listener>>();
	readonly #life = new AbortController();
	readonly #alarm = new Alarm();
	readonly #backoff: Backoff;
	#source: EventSource | undefined;

	constructor(endpoint: string | URL, parameters: StreamParameters, options: EventSourceOptions) {
		this.#endpoint = endpoint;
		this.#parameters = parameters;
		this.#options = options;
		this.#backoff = new Backoff(options.retry ?? {});
		this.lastEventId = parameters.last_event_id ?? "";
		const { onmessage, ongap } = options;
		this.addEventListener("message", (event) => onmessage?.(event));
		this.addEventListener(GAP_TYPE, ({ data }) => ongap?.(parseGap(data)));
		if (options.signal?.aborted) {
			this.close();
		}
		options.signal?.addEventListener("abort", () => this.close(), { signal: this.#life.signal });
		this.done = this.#run();
		this.done.catch(() => {});
	}

	addEventListener(type: string, listener: Listener): void {
		if (!this.#listeners.has(type)) {
			this.#listeners.set(type, new Set());
			this.#source?.addEventListener(type, this.#tell);
		}
		this.#listeners.get(type)?.add(listener);
	}

	removeEventListener(type: string, listener: Listener): void {
		this.#listeners.get(type)?.delete(listener);
	}

	get readyState(): number {
		return this.#life.signal.aborted ? CLOSED : (this.#source?.readyState ?? 0);
	}

	close(): void {
		this.#life.abort();
	}

	async #run(): Promise<StreamEnd> {
		const { signal } = this.#life;
		watchPage(
			() => this.#alarm.wake(),
			() => {},
			signal,
		);
		await Promise.resolve();
		try {
			while (!signal.aborted) {
				if (await this.#once()) {
					return { reason: "finished" };
				}
			}
			return { reason: "closed" };
		} catch (error) {
			if (signal.aborted) {
				return { reason: "closed" };
			}
			throw error;
		} finally {
			this.#alarm.stop();
			this.close();
		}
	}

	/** Opens the stream with a ticket of its own and waits for its end. True where it has finished. */
	async #once(): Promise<boolean> {
		let ticket: Ticket | undefined;
		let lost: StreamError | undefined;
		try {
			ticket = await this.#ticket();
			if (await this.#finished(ticket)) {
				return true;
			}
			await this.#listen(ticket);
		} catch (error) {
			this.#life.signal.throwIfAborted();
			lost = toStreamError(error);
		}
		this.#backoff.ended(lost?.code === "offline");
		if (lost !== undefined) {
			this.#call(this.#options.onerror, lost);
			const expired = ticket !== undefined && lost.status === 401;
			if (this.#backoff.exhausted || !(expired || isTransient(lost))) {
				throw lost;
			}
		}
		await this.#wait((resolve) => this.#alarm.wait(this.#backoff.delayMs(0), 0, resolve));
		return false;
	}

	/** Waits for what the function begins, or for close(). */
	#wait(begin: (end: () => void) => void): Promise<void> {
		const { signal } = this.#life;
		return new Promise((resolve) => {
			const end = () => {
				signal.removeEventListener("abort", end);
				resolve();
			};
			signal.addEventListener("abort", end);
			if (signal.aborted) {
				end();
			} else {
				begin(end);
			}
		});
	}

	#ticket(): Promise<Ticket> {
		const { lastEventId } = this;
		return createTicket(
			this.#endpoint,
			{ ...this.#parameters, ...(lastEventId && { last_event_id: lastEventId }) },
			{ ...this.#options, signal: this.#life.signal },
		);
	}

	/**
	 * Asks for a page first where an EventSource would leave something unknown: it does not
	 * tell a refusal from the end, nor the position where a new stream begins.
	 */
	async #finished({ url }: Ticket): Promise<boolean> {
		const { from = "now" } = this.#parameters;
		const isFirst = this.#source === undefined;
		if (isFirst && (this.lastEventId !== "" || from !== "now")) {
			return false;
		}
		const { credentials } = this.#options;
		const page = (await ask(
			url,
			{ ...this.#options, signal: this.#life.signal },
			{
				headers: { Accept: "application/json" },
				...(credentials && { credentials }),
			},
		)) as { events: unknown[]; last_event_id: string; finished: boolean };
		if (isFirst) {
			this.lastEventId = page.last_event_id;
		}
		return page.finished && page.events.length === 0;
	}

	/** Ends when the EventSource has given up, or would only come back with an expired ticket. */
	async #listen({ url, expires }: Ticket): Promise<void> {
		const { EventSource = globalThis.EventSource, credentials, onopen } = this.#options;
		const resumed = new URL(url);
		if (this.lastEventId !== "") {
			resumed.searchParams.set("last_event_id", this.lastEventId);
		}
		const source = new EventSource(resumed, { withCredentials: credentials === "include" });
		this.#source = source;
		for (const type of this.#listeners.keys()) {
			source.addEventListener(type, this.#tell);
		}
		let opened = false;
		source.onopen = () => {
			opened = true;
			this.#backoff.opened();
			this.#call(onopen, undefined);
		};
		await this.#wait((end) => {
			source.onerror = () => {
				if (source.readyState === CLOSED || Date.now() >= expires.getTime()) {
					end();
				}
			};
		});
		source.close();
		if (!opened) {
			throw new StreamError("network", "the EventSource was refused, or CORS forbids it");
		}
	}

	readonly #tell = (event: MessageEvent<string>): void => {
		if (event.target !== this.#source || this.#life.signal.aborted) {
			return;
		}
		this.lastEventId = event.lastEventId || this.lastEventId;
		for (const listener of [...(this.#listeners.get(event.type) ?? [])]) {
			this.#call(listener, event);
		}
	};

	/** Calls what the user gave; what it throws is reported and changes nothing. */
	#call<T>(callback: ((value: T) => void) | undefined, value: T): void {
		guarded(() => callback?.(value));
	}
}

/** What is no StreamError is from a function among the options. */
function toStreamError(error: unknown): StreamError {
	return error instanceof StreamError
		? error
		: new StreamError("setup", "the request cannot be made", undefined, error);
}

/** Whether another attempt may be answered otherwise: no answer, a rate limit, an overload. */
function isTransient({ status = 0, code }: StreamError): boolean {
	return code === "network" || code === "offline" || status === 429 || status >= 500;
}
