import { parse } from "../parse.ts";
import type { SharedEventStreamOptions } from "../shared.ts";

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
	const fixed = typeof headers === "function" ? "" : [...new Headers(headers)];
	const asked = [url, [subjects].flat(), from, method, body]; // JSON has no functions
	return JSON.stringify([...asked, fixed, credentials, shareKey]);
}

/**
 * Where a client without an id begins: `from`, or an id. `last`, which promises least, where it
 * is not known beforehand.
 */
export function beginOf(url: string, { from, body }: SharedEventStreamOptions): unknown {
	if (typeof body === "function") {
		return "last";
	}
	const query = Object.fromEntries(new URL(url).searchParams);
	const sent = typeof body === "string" ? parse(body) : body;
	const asked: Record<string, unknown> = { ...query, ...(isPlain(sent) && sent) };
	return asked["last_event_id"] ?? asked["lastEventId"] ?? asked["from"] ?? from ?? "now";
}

function isPlain(value: unknown): value is object {
	return /^\[object (Object|Array)]$/.test(Object.prototype.toString.call(value));
}
