import type { EventStreamOptions, RequestContext } from "./options.ts";

/** Makes the request of one attempt. */
export async function makeRequest(
	url: string,
	options: EventStreamOptions,
	context: RequestContext,
): Promise<[url: string, init: RequestInit]> {
	const headers = new Headers(await resolve(options.headers, context));
	const given = await resolve(options.body, context);
	const method = options.method ?? (given == null ? "GET" : "POST");
	const { subjects, from } = options;
	const parameters = subjects === undefined ? undefined : { subject: [subjects].flat(), from };
	const asJson = !/^(GET|HEAD)$/i.test(method) && isJson(given ?? parameters);

	let body = given as BodyInit | null | undefined;
	if (asJson) {
		// Cache-Control asks for id blocks on a GET only (PROTOCOL.md, bookmarks).
		const whole = parameters ? { ...parameters, bookmarks: "block", ...(given as object) } : given;
		body = JSON.stringify(whole);
		setDefault(headers, "Content-Type", "application/json");
	}
	setDefault(headers, "Accept", "text/event-stream, application/json;q=0.9");
	if (context.lastEventId !== "") {
		// As EventSource sends it: a header's characters are bytes, those of UTF-8. What a storage
		// holds may be anything: as much of it as a header can be is told to be unknown.
		const [id] = /^[^\0\r\n]*/.exec(context.lastEventId) as string[];
		const bytes = new TextEncoder().encode(id);
		headers.set("Last-Event-ID", String.fromCharCode(...bytes));
	}

	const init = {
		method,
		headers,
		signal: context.signal,
		// Sends Cache-Control: no-cache, as an EventSource does, without a preflight for it.
		cache: "no-store",
		body,
		credentials: options.credentials,
	} as RequestInit;
	return [asJson || !parameters ? url : withQuery(url, parameters), init];
}

function resolve<T>(
	value: T | ((context: RequestContext) => T | Promise<T>),
	context: RequestContext,
): T | Promise<T> {
	return typeof value === "function"
		? (value as (context: RequestContext) => T | Promise<T>)(context)
		: value;
}

interface Parameters {
	subject: string[];
	from: string | undefined;
}

/** Appends the parameters; the URL may be relative, which URL cannot parse without a base. */
function withQuery(url: string, { subject, from }: Parameters): string {
	const query = new URLSearchParams(subject.map((s) => ["subject", s]));
	if (from !== undefined) {
		query.set("from", from);
	}
	return `${url}${url.includes("?") ? "&" : "?"}${query}`;
}

function setDefault(headers: Headers, name: string, value: string): void {
	if (!headers.has(name)) {
		headers.set(name, value);
	}
}

/** Whether a value is meant as JSON, and not a body that fetch knows. */
function isJson(value: unknown): boolean {
	return /^\[object (Object|Array)]$/.test({}.toString.call(value));
}
