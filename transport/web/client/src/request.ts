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
	const inBody = method !== "GET" && method !== "HEAD";
	const parameters = ringcastParameters(options);

	let body = given as BodyInit | null | undefined;
	if (inBody && isJson(given ?? parameters)) {
		// Cache-Control asks for id blocks on a GET only (PROTOCOL.md, bookmarks).
		const whole = parameters ? { ...parameters, bookmarks: "block", ...(given as object) } : given;
		body = JSON.stringify(whole);
		setDefault(headers, "Content-Type", "application/json");
	}
	setDefault(headers, "Accept", "text/event-stream, application/json;q=0.9");
	if (context.lastEventId !== "") {
		headers.set("Last-Event-ID", context.lastEventId);
	}

	const init: RequestInit = {
		method,
		headers,
		signal: context.signal,
		// Sends Cache-Control: no-cache, as an EventSource does, without a preflight for it.
		cache: "no-store",
	};
	if (body != null) {
		init.body = body;
	}
	if (options.credentials !== undefined) {
		init.credentials = options.credentials;
	}
	return [inBody ? url : withQuery(url, parameters), init];
}

async function resolve<T>(
	value: T | ((context: RequestContext) => T | Promise<T>),
	context: RequestContext,
): Promise<T> {
	return typeof value === "function"
		? await (value as (context: RequestContext) => T | Promise<T>)(context)
		: value;
}

interface Parameters {
	subject: string[];
	from?: string;
}

function ringcastParameters({ subjects, from }: EventStreamOptions): Parameters | undefined {
	if (subjects === undefined) {
		return undefined;
	}
	const subject = typeof subjects === "string" ? [subjects] : [...subjects];
	return from === undefined ? { subject } : { subject, from };
}

/** Appends the parameters; the URL may be relative, which URL cannot parse without a base. */
function withQuery(url: string, parameters: Parameters | undefined): string {
	if (parameters === undefined) {
		return url;
	}
	const query = new URLSearchParams(parameters.subject.map((s) => ["subject", s]));
	if (parameters.from !== undefined) {
		query.set("from", parameters.from);
	}
	const [path = "", fragment] = url.split("#", 2);
	const joined = `${path}${path.includes("?") ? "&" : "?"}${query}`;
	return fragment === undefined ? joined : `${joined}#${fragment}`;
}

function setDefault(headers: Headers, name: string, value: string): void {
	if (!headers.has(name)) {
		headers.set(name, value);
	}
}

/** Whether fetch would send the value as "[object Object]". */
function isJson(value: unknown): value is object {
	if (typeof value !== "object" || value === null) {
		return false;
	}
	const prototype = Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
