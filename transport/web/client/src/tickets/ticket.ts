import { networkError, StreamError } from "../errors.ts";

/** The parameters of a stream; see "Parameters" in PROTOCOL.md. */
export interface StreamParameters {
	readonly subject: string | readonly string[];
	readonly from?: string;
	readonly last_event_id?: string;
	readonly type?: string | readonly string[];
	readonly format?: "raw" | "cloudevents";
	readonly conflate?: string;
}

/** A URL that opens a stream without headers, also from another gateway of the same key. */
export interface Ticket {
	/** Absolute. Whoever has it can open the stream: do not log it. */
	readonly url: string;
	readonly expires: Date;
}

export interface TicketOptions {
	/** A function is called anew for each ticket, so that a token is never an old one. */
	readonly headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
	/** Default the global one. */
	readonly fetch?: typeof fetch;
	readonly signal?: AbortSignal | null;
	/** Of the requests; with `include` the EventSource sends cookies too. */
	readonly credentials?: RequestCredentials;
}

/**
 * Gets a ticket: POST /v1/tickets. Rejects with a StreamError, whose `status` is the
 * answer's. The endpoint can be a server of yours too that asks a gateway for you.
 */
export async function createTicket(
	endpoint: string | URL,
	parameters: StreamParameters,
	options: TicketOptions = {},
): Promise<Ticket> {
	const { headers: given, credentials } = options;
	const headers = new Headers(typeof given === "function" ? await given() : given);
	headers.set("Content-Type", "application/json");
	const { subject, ...others } = parameters;
	const answer = (await ask(endpoint, options, {
		method: "POST",
		headers,
		body: JSON.stringify({ subject: [subject].flat(), ...others }),
		...(credentials && { credentials }),
	})) as { url: string; expires: string };
	return { url: resolve(answer.url, endpoint), expires: new Date(answer.expires) };
}

/** Asks for JSON. Rejects with a StreamError. */
export async function ask(
	url: string | URL,
	{ fetch = globalThis.fetch, signal = null }: TicketOptions,
	init: RequestInit,
): Promise<unknown> {
	let response: Response;
	try {
		response = await fetch(url, { ...init, signal, cache: "no-store" });
	} catch (cause) {
		signal?.throwIfAborted();
		throw networkError(cause);
	}
	const { status } = response;
	if (!response.ok) {
		const code = status === 401 ? "unauthorized" : "status";
		throw new StreamError(code, `the server answered ${status}`, status);
	}
	try {
		return await response.json();
	} catch (cause) {
		signal?.throwIfAborted();
		throw new StreamError("content-type", "the answer is not JSON", status, cause);
	}
}

const TICKETS = "/v1/tickets";

/** The URL of an answer is relative to the gateway's, which a proxy may have under a path. */
function resolve(url: string, endpoint: string | URL): string {
	const base = new URL(endpoint, globalThis.document?.baseURI ?? globalThis.location?.href);
	const { pathname } = base;
	const under = pathname.endsWith(TICKETS) ? pathname.slice(0, -TICKETS.length) : "";
	return new URL(url.startsWith("/") ? under + url : url, base).href;
}
