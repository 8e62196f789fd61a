import { StreamError } from "./errors.ts";
import { createEventStream } from "./stream.ts";

export const EventStreamContentType = "text/event-stream";

export interface EventSourceMessage {
	/** The id to resume from after this message. */
	id: string;
	/** `""` for an event without a type. */
	event: string;
	data: string;
	/** What the server has said in `retry:` since the message before. */
	retry?: number | undefined;
}

export interface FetchEventSourceInit extends Omit<RequestInit, "headers"> {
	headers?: Record<string, string>;
	/** Judges an answer: what it throws goes to `onerror`. JSON and other types than an event stream reject all the same. */
	onopen?: (response: Response) => Promise<void> | void;
	/** What it throws goes to `onerror`; the connection stays. */
	onmessage?: (event: EventSourceMessage) => void;
	/** The body ended cleanly, or the server answered 204. Throws to have it tried again. */
	onclose?: () => void;
	/**
	 * What it throws ends the call. A number is the delay in ms until the next attempt.
	 * Without it five attempts are all until a stream was opened, and an error of another
	 * callback ends the call.
	 */
	onerror?: (error: unknown) => unknown;
	/** Accepted and not needed: the stream stays open, once, whether the tab is hidden or not. */
	openWhenHidden?: boolean;
	fetch?: typeof fetch;
}

/**
 * The signature of @microsoft/fetch-event-source on the stream of this package.
 * Different on purpose: an id counts at the end of its event only; 401 and other refusals
 * reject instead of being retried for ever; a block without data is no message; hiding the
 * tab changes nothing; what `onmessage` throws does not cost the connection; a signal
 * that is aborted before counts; the body of a Request is sent with every attempt.
 */
export async function fetchEventSource(
	input: RequestInfo | URL,
	init: FetchEventSourceInit = {},
): Promise<void> {
	const { onopen, onmessage, onclose, onerror, fetch = globalThis.fetch } = init;
	const request = input instanceof Request ? input : undefined;
	const headers = new Headers(request?.headers);
	for (const [name, value] of new Headers(init.headers)) {
		headers.set(name, value);
	}
	/** What onopen has thrown for the answer. */
	let refused: unknown;
	let ended: { readonly error: unknown } | undefined;

	/** Asks onerror: returns the delay that is wished, or ends the call with what is thrown. */
	const ask = (error: unknown): unknown => {
		try {
			if (onerror === undefined) {
				throw error;
			}
			return onerror(error);
		} catch (thrown) {
			ended ??= { error: thrown };
			stream.close();
			return undefined;
		}
	};

	const stream = createEventStream(request?.url ?? (input as string | URL), {
		method: init.method ?? request?.method ?? "GET",
		headers,
		body: init.body,
		credentials: init.credentials,
		signal: init.signal ?? request?.signal,
		connectTimeoutMs: 0,
		idleTimeoutMs: 0,
		retry: onerror ? { maxAttempts: Infinity } : {},
		fetch: async (url, made) => {
			refused = undefined;
			const response = await fetch(request?.clone() ?? url, { ...init, ...made });
			try {
				await onopen?.(response);
			} catch (error) {
				refused = error;
				throw error;
			}
			return response;
		},
		onmessage: ({ type, data, lastEventId, ...retry }) => {
			try {
				onmessage?.({ id: lastEventId, event: type === "message" ? "" : type, data, ...retry });
			} catch (error) {
				ask(error);
			}
		},
		onretry: ({ error }) => {
			if (error !== undefined) {
				return refused || onerror ? ask(refused ?? error) : undefined;
			}
			try {
				onclose?.();
			} catch (thrown) {
				return ask(thrown);
			}
			return stream.close();
		},
	});

	try {
		const end = await stream.done;
		if (end.reason === "json") {
			throw new StreamError("content-type", "no event stream: JSON", end.status);
		}
		if (end.reason === "finished") {
			onclose?.();
		}
	} catch (error) {
		const why = refused ?? error;
		ask(why); // asked for the last time: there is nothing to try again
		ended ??= { error: why };
	}
	if (ended !== undefined) {
		throw ended.error;
	}
}
