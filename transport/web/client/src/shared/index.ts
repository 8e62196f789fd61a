import type { EventStreamOptions } from "../options.ts";
import { createEventStream, type ResumableStream } from "../stream.ts";
import { keyOf, startsNow } from "./key.ts";
import { LocksLine } from "./locks.ts";
import { type Line, Tab } from "./tab.ts";
import { WorkerLine } from "./worker-line.ts";

export interface SharedEventStreamOptions extends EventStreamOptions {
	/** Makes a worker that runs `@ringcast/client/shared-worker`. Default: without one. */
	readonly worker?: () => SharedWorker;
	/** Tabs share only with the same: the user's id, where tabs of one browser may be of several. */
	readonly shareKey?: string;
}

/**
 * A stream of one tab that shares its connection with the same stream in other tabs of the origin:
 * over the worker, else over Web Locks and a BroadcastChannel, else not at all. Each tab gets every
 * event once and in order, from its own last id, whichever tab closes, crashes or is frozen.
 */
export function createSharedEventStream(
	url: string | URL,
	options: SharedEventStreamOptions = {},
): ResumableStream {
	const { location } = globalThis;
	const whole = location === undefined ? String(url) : new URL(url, location.href).href;
	const key = location === undefined ? undefined : keyOf(whole, options);
	const tab = new Tab(options, key !== undefined && startsNow(whole, options));
	const line = key === undefined ? undefined : lineFor(key, tab, options);
	if (line === undefined) {
		return createEventStream(url, options);
	}
	const stream = createEventStream(url, { ...options, fetch: tab.fetch });
	tab.join(line, stream);
	return {
		addEventListener: (type, listener) => stream.addEventListener(type, listener),
		removeEventListener: (type, listener) => stream.removeEventListener(type, listener),
		get lastEventId() {
			return stream.lastEventId;
		},
		get readyState() {
			return stream.readyState;
		},
		done: stream.done,
		reconnect: () => tab.reconnect(),
		close: () => stream.close(),
		[Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
	};
}

/** The first way to the others that there is here. */
function lineFor(key: string, tab: Tab, options: SharedEventStreamOptions): Line | undefined {
	const { worker, fetch = globalThis.fetch } = options;
	// Only where the connection is secure: https, localhost.
	const hasLocks = globalThis.navigator?.locks !== undefined;
	const locks = hasLocks && "BroadcastChannel" in globalThis;
	const other = () => (locks ? new LocksLine(key, tab, fetch) : undefined);
	if (worker === undefined || !("SharedWorker" in globalThis)) {
		return other();
	}
	return new WorkerLine(worker(), key, tab, () => tab.change(other()));
}
