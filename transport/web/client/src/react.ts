"use client";

import { useEffect, useInsertionEffect, useState, useSyncExternalStore } from "react";
import { StreamError } from "./errors.ts";
import type { EventStreamOptions, RequestContext, StreamEnd, StreamEvent } from "./options.ts";
import { onFrame } from "./react/frame.ts";
import { singleFlight } from "./refresh.ts";
import { CLOSED, createEventStream, type ResumableStream } from "./stream.ts";

export {
	type AnswerView,
	type UseAnswerOptions,
	type UseAnswerResult,
	useAnswer,
} from "./react/answer.ts";

export interface UseEventStreamOptions extends Omit<EventStreamOptions, "signal"> {
	/** `false` closes the stream; it goes on after the last id once this is true again. Default true. */
	readonly enabled?: boolean;
	/** How many of the newest events `events` holds. Default 100; 0 for none. */
	readonly limit?: number;
	/** What opens the stream. Default `createEventStream`. */
	readonly create?: (url: string, options: EventStreamOptions) => ResumableStream;
}

export interface ReducingOptions<S> extends UseEventStreamOptions {
	/** Makes the next state of each event; called as events come in, not when React renders. */
	readonly reduce: (state: S, event: StreamEvent) => S;
	/** The state before the first event. */
	readonly initial: S;
}

export interface EventStreamView {
	/** `closed` also while there is no URL, or `enabled` is false. */
	readonly status: "connecting" | "open" | "closed";
	/** The newest events, oldest first, of any type but gaps. */
	readonly events: readonly StreamEvent[];
	readonly lastEvent: StreamEvent | undefined;
	/** The id to resume from. */
	readonly lastEventId: string;
	/** Why the stream is not open: cleared when it opens. What a callback threw is not among it. */
	readonly error: StreamError | undefined;
	/** How the stream ended, where it did not fail. */
	readonly end: StreamEnd | undefined;
}

export interface UseEventStreamResult extends EventStreamView {
	/** Connects anew at once, after the last id; opens a stream that has ended or was closed. */
	readonly reconnect: () => void;
	/** Closes the stream, until `reconnect()` or a change of what is asked for. */
	readonly close: () => void;
}

/**
 * A stream for as long as the component is mounted. It is opened anew when the URL, the subjects,
 * `from`, the method, the body or the credentials have another value, not when an object or a
 * function is another one: functions and headers are always those of the last render.
 * The component renders once a frame at most, however many events come.
 */
export function useEventStream<S>(
	url: string | URL | null | undefined,
	options: ReducingOptions<S>,
): UseEventStreamResult & { readonly state: S };
export function useEventStream(
	url: string | URL | null | undefined,
	options?: UseEventStreamOptions,
): UseEventStreamResult;
export function useEventStream(
	url: string | URL | null | undefined,
	options: UseEventStreamOptions & Partial<ReducingOptions<unknown>> = {},
): UseEventStreamResult & { readonly state?: unknown } {
	const key = keyOf(url, options);
	const [store] = useState(() => new Store(key, options));
	useInsertionEffect(() => {
		store.options = options;
	});
	const snapshot = () => store.snapshot(key, options);
	const view = useSyncExternalStore(store.subscribe, snapshot, snapshot);
	const wanted = url != null && options.enabled !== false;
	useEffect(() => {
		if (wanted) {
			store.open(String(url), key);
		}
		return () => store.leave();
	}, [store, key, wanted]); // the URL's value is in the key
	const { reconnect, close } = store;
	return { ...view, status: wanted ? view.status : "closed", reconnect, close };
}

type Options = UseEventStreamOptions & Partial<ReducingOptions<unknown>>;

interface View extends EventStreamView {
	readonly state?: unknown;
}

/** Compares by value what is asked for, so that an object made anew in a render is the same one. */
function keyOf(url: string | URL | null | undefined, options: Options): string {
	const { subjects, from, method, body, credentials } = options;
	const list = typeof subjects === "string" ? [subjects] : subjects;
	return JSON.stringify([url, list, from, method, credentials, comparable(body)]);
}

function comparable(body: Options["body"]): unknown {
	if (typeof body !== "object" || body === null) {
		return typeof body === "string" ? body : null; // a function is always the newest
	}
	if (body instanceof URLSearchParams) {
		return String(body);
	}
	const prototype = Object.getPrototypeOf(body);
	const plain = prototype === Object.prototype || prototype === null || Array.isArray(body);
	return plain ? [body] : identity(body);
}

/** Numbers of bodies whose content cannot be looked at: a Blob, a FormData. */
const identities = new WeakMap<object, number>();
let lastIdentity = 0;

function identity(body: object): number {
	const known = identities.get(body) ?? ++lastIdentity;
	identities.set(body, known);
	return known;
}

/** What a component shows of its stream, between one effect and the next. */
class Store {
	/** Of the last render that was committed. */
	options: Options;

	#url: string | undefined;
	#stream: ResumableStream | undefined;
	/** What the view is of. */
	#key: string;
	/** What React has, and what it gets with the next frame. */
	#shown: View;
	#next: View;
	/** The view of a key that no stream was opened for yet. */
	#blank: { readonly key: string; readonly view: View };
	/** The newest events; twice the limit before it is cut, so that an event costs no copy. */
	readonly #events: StreamEvent[] = [];
	readonly #listeners = new Set<() => void>();
	#cancelFrame: (() => void) | undefined;

	constructor(key: string, options: Options) {
		this.options = options;
		this.#key = key;
		this.#shown = this.#next = blankView(options);
		this.#blank = { key, view: this.#shown };
	}

	readonly subscribe = (listener: () => void): (() => void) => {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
			this.#publish();
		};
	};

	/** Of a key that is rendered for the first time: what was shown of another is not of it. */
	snapshot(key: string, options: Options): View {
		if (key === this.#key) {
			return this.#shown;
		}
		if (this.#blank.key !== key) {
			this.#blank = { key, view: blankView(options) };
		}
		return this.#blank.view;
	}

	open(url: string, key: string): void {
		if (key !== this.#key) {
			this.#shown = this.#next = this.snapshot(key, this.options);
			this.#key = key;
			this.#events.length = 0;
		}
		this.#url = url;
		this.#change({ status: "connecting", error: undefined, end: undefined });
		const { create = createEventStream } = this.options;
		const stream: ResumableStream = create(
			url,
			this.#streamOptions(() => this.#stream === stream),
		);
		this.#stream = stream;
	}

	/** Closes the stream without another call of anything. */
	leave(): void {
		const stream = this.#stream;
		this.#url = this.#stream = undefined;
		if (stream !== undefined) {
			this.#change({ status: "closed", lastEventId: stream.lastEventId });
			stream.close();
		}
	}

	readonly close = (): void => this.#stream?.close();

	readonly reconnect = (): void => {
		if (this.#url === undefined) {
			return;
		}
		if (this.#stream?.readyState === CLOSED) {
			this.#change({ lastEventId: this.#stream.lastEventId });
			this.open(this.#url, this.#key);
		} else {
			this.#change({ status: "connecting" });
			this.#stream?.reconnect();
		}
	};

	/** @param current tells whether the stream is still the component's */
	#streamOptions(current: () => boolean): EventStreamOptions {
		const { enabled: _, limit: _l, create: _c, reduce: _r, initial: _i, ...rest } = this.options;
		const { headers, body, onunauthorized, lastEventId } = rest;
		const resumed = this.#next.lastEventId || lastEventId;
		return {
			...rest,
			...(resumed !== undefined && { lastEventId: resumed }),
			...(headers !== undefined && {
				headers: (context: RequestContext) => provide(this.options.headers, context),
			}),
			...(typeof body === "function" && {
				body: (context: RequestContext) => provide(this.options.body, context),
			}),
			...(onunauthorized !== undefined && {
				// By the user's own function, which is the one that streams share.
				onunauthorized: (context: RequestContext) =>
					singleFlight(this.options.onunauthorized ?? onunauthorized, context),
			}),
			onopen: (response) => {
				if (current()) {
					this.#change({ status: "open", error: undefined });
					this.options.onopen?.(response);
				}
			},
			onmessage: (event) => {
				if (current()) {
					this.#take(event);
				}
			},
			ongap: (gap) => current() && this.options.ongap?.(gap),
			onretry: (notice) => {
				if (current()) {
					this.#change({ status: "connecting" });
					this.options.onretry?.(notice);
				}
			},
			onerror: (error) => {
				if (current()) {
					if (error.code !== "listener" && error.code !== "storage") {
						this.#change({ error });
					}
					this.options.onerror?.(error);
				}
			},
			onclose: (end, error) => {
				if (current()) {
					this.#change({ status: "closed", end, error: error ?? refusal(end) });
					this.options.onclose?.(end, error);
				}
			},
		};
	}

	#take(event: StreamEvent): void {
		const { limit = 100, reduce } = this.options;
		this.#events.push(event);
		if (this.#events.length > 2 * limit) {
			this.#events.splice(0, this.#events.length - limit);
		}
		this.#change({ lastEvent: event, lastEventId: event.lastEventId });
		try {
			if (reduce !== undefined) {
				this.#change({ state: reduce(this.#next.state, event) });
			}
		} finally {
			this.options.onmessage?.(event);
		}
	}

	#change(changed: Partial<View>): void {
		this.#next = { ...this.#next, ...changed };
		if (this.#listeners.size === 0) {
			this.#publish();
		} else {
			this.#cancelFrame ??= onFrame(() => this.#publish());
		}
	}

	#publish(): void {
		this.#cancelFrame?.();
		this.#cancelFrame = undefined;
		if (this.#shown === this.#next) {
			return;
		}
		const { limit = 100 } = this.options;
		const events = limit > 0 ? this.#events.slice(-limit) : [];
		this.#shown = this.#next = { ...this.#next, events };
		for (const listener of this.#listeners) {
			listener();
		}
	}
}

function blankView(options: Options): View {
	return {
		status: "connecting",
		events: [],
		lastEvent: undefined,
		lastEventId: "",
		error: undefined,
		end: undefined,
		state: options.initial,
	};
}

/** A refusal comes as JSON, which is an answer; for a component it is an error. */
function refusal(end: StreamEnd | undefined): StreamError | undefined {
	if (end?.reason !== "json" || end.status < 400) {
		return undefined;
	}
	const { detail } = Object(end.body) as { detail?: unknown };
	const why = typeof detail === "string" ? `: ${detail}` : "";
	return new StreamError("status", `the server answered ${end.status}${why}`, end.status);
}

function provide<T>(value: T | ((context: RequestContext) => T), context: RequestContext): T {
	return typeof value === "function" ? (value as (context: RequestContext) => T)(context) : value;
}
