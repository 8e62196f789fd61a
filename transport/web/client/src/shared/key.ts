import type { SharedEventStreamOptions } from "./index.ts";

/**
 * What tabs must have in common to share: all that makes the server's answer another one. Of
 * functions that make headers only the user knows: that is what `shareKey` is for.
 * Undefined where the request is not known beforehand, and so cannot be compared.
 */
export function keyOf(url: string, options: SharedEventStreamOptions): string | undefined {
	const { subjects, from, method, body, headers, credentials, shareKey } = options;
	const known = body == null || typeof body === "string" || isPlain(body);
	if (!known && (typeof body !== "function" || shareKey === undefined)) {
		return undefined;
	}
	const list = typeof subjects === "string" ? [subjects] : subjects;
	const fixed = typeof headers === "function" ? undefined : [...new Headers(headers)];
	const asked = [url, list, from, method, typeof body === "function" ? "" : body];
	return JSON.stringify([...asked, fixed, credentials, shareKey]);
}

/** Whether a client without an id begins with what comes next, and not with something held. */
export function startsNow(url: string, { from, body }: SharedEventStreamOptions): boolean {
	const query = new URL(url).searchParams;
	const parameters: Record<string, unknown> = isPlain(body) ? { ...body } : {};
	const asked = parameters["from"] ?? from ?? query.get("from") ?? "now";
	const position =
		parameters["last_event_id"] ?? query.get("last_event_id") ?? query.get("lastEventId");
	return asked === "now" && position == null && typeof body !== "function";
}

function isPlain(value: unknown): value is object {
	const prototype = typeof value === "object" && value !== null && Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
