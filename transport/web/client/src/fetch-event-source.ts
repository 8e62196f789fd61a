import { StreamError } from "./errors.ts";
import { createEventStream } from "./stream.ts";

export interface EventSourceMessage {
	id: string;
	/** `""` for an event without a type. */
	event: string;
	data: string;
	retry?: number;
}

export interface FetchEventSourceInit extends Omit<RequestInit, "headers"> {
	headers?: Record<string, string>;
	/** What it throws ends the call. */
	onopen?: (response: Response) => Promise<void> | void;
	onmessage?: (event: EventSourceMessage) => void;
	/** The body ended cleanly, or the server answered 204; the call resolves. */
	onclose?: () => void;
	/** A connection was lost and will be tried again, unless this throws: that ends the call. */
	onerror?: (error: StreamError) => unknown;
	/** Accepted and not needed: the stream stays open, once, whether the tab is hidden or not. */
	openWhenHidden?: boolean;
	fetch?: typeof fetch;
}

/**
 * The signature of @microsoft/fetch-event-source on the stream of this package.
 * Different on purpose: an id counts at the end of its event only; 401 and other refusals
 * reject instead of being retried for ever; a block without data is no message; hiding the
 * tab changes nothing; what `onmessage` throws does not cost the connection; the delay is
 * the backoff's, and a number that `onerror` returns is ignored.
 */
export async function fetchEventSource(
	input: string | URL | Request,
	init: FetchEventSourceInit = {},
): Promise<void> {
	const { onopen, onmessage, onclose, onerror, openWhenHidden: _, headers, signal, ...rest } = init;
	const { fetch: own = globalThis.fetch, body, method, ...requestInit } = rest;
	let thrown: { error: unknown } | undefined;
	const end = (error: unknown) => {
		thrown ??= { error };
		stream.close();
	};
	const stream = createEventStream(input instanceof Request ? input.url : input, {
		method: method ?? (input instanceof Request ? input.method : "GET"),
		...(headers !== undefined && { headers }),
		...(body != null && { body }),
		...(signal != null && { signal }),
		idleTimeoutMs: 0,
		reconnectOnEnd: false,
		fetch: async (url, made) => {
			const response = await own(url, { ...requestInit, ...made });
			if (onopen !== undefined) {
				try {
					await onopen(response);
				} catch (error) {
					end(error);
				}
			}
			return response;
		},
		onmessage: ({ type, data, lastEventId }) =>
			onmessage?.({ id: lastEventId, event: type === "message" ? "" : type, data }),
		onretry: ({ error }) => {
			try {
				if (error !== undefined) {
					onerror?.(error);
				}
			} catch (e) {
				end(e);
			}
		},
	});
	const how = await stream.done;
	if (thrown !== undefined) {
		throw thrown.error;
	}
	if (how.reason === "json") {
		throw new StreamError("content-type", "no event stream but JSON", how.status);
	}
	if (how.reason !== "closed") {
		onclose?.();
	}
}
