import type { EventId } from "./ids.ts";
import { readProblem } from "./problem.ts";
import { token } from "./token.ts";

/** An event in a JSON page. Binary data comes as data_base64, and data is absent. */
export interface PageEvent {
	readonly id: EventId;
	readonly subject: string;
	readonly type: string;
	readonly time: string;
	readonly data?: string;
}

/** The answer of GET /v1/stream with Accept: application/json. */
export interface Page {
	readonly events: readonly PageEvent[];
	readonly last_event_id: EventId;
	readonly gap: unknown;
}

/** How many events are asked for at a time. */
const PAGE_LIMIT = 1000;

/**
 * Returns the stream's URL with these parameters. It is relative to the page, so
 * that both may be served below a path prefix.
 */
export function streamUrl(params: Readonly<Record<string, string>>): URL {
	const url = new URL("v1/stream", document.baseURI);
	for (const [name, value] of Object.entries(params)) {
		url.searchParams.set(name, value);
	}
	return url;
}

/**
 * Reads what the log holds, page by page, up to the head at the time of asking or
 * to `most` events.
 *
 * @param params those of the stream: subject, and from or last_event_id
 */
export async function* readLog(
	params: Readonly<Record<string, string>>,
	most: number,
	signal: AbortSignal,
): AsyncGenerator<readonly PageEvent[]> {
	let left = most;
	let at = params;
	while (left > 0) {
		const limit = String(Math.min(left, PAGE_LIMIT));
		const page = await readPage({ ...at, limit }, signal);
		if (page.events.length === 0) {
			return; // a page may be short for its bytes: only an empty one is the end
		}
		yield page.events;
		left -= page.events.length;
		at = { ...at, last_event_id: page.last_event_id };
	}
}

/** Returns the id of the newest event that the log holds. */
export async function readHead(subject: string, signal: AbortSignal): Promise<EventId> {
	const page = await readPage({ subject, from: "now", limit: "1" }, signal);
	return page.last_event_id;
}

/** Reads one page. */
export async function readPage(params: Record<string, string>, signal: AbortSignal): Promise<Page> {
	const answer = await token.fetch(streamUrl(params), {
		headers: { Accept: "application/json" },
		cache: "no-store",
		signal,
	});
	if (!answer.ok) {
		throw new Error(await readProblem(answer));
	}
	return (await answer.json()) as Page;
}
