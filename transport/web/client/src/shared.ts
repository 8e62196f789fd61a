import type { EventStreamOptions } from "./options.ts";
import { beginOf, keyOf } from "./shared/key.ts";
import { LocksLine } from "./shared/locks.ts";
import { type Line, Tab } from "./shared/tab.ts";
import { WorkerLine } from "./shared/worker-line.ts";
import { createEventStream, type ResumableStream } from "./stream.ts";

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
	const whole = location && new URL(url, location.href).href;
	const key = location && keyOf(whole, options);
	const tab = new Tab(options, location && beginOf(whole, options));
	const line = key && lineFor(key, tab, options);
	if (!line) {
		return createEventStream(url, options);
	}
	const stream = createEventStream(url, { ...options, fetch: tab.fetch });
	const resync = stream.reconnect.bind(stream);
	tab.join(line, stream, resync);
	return Object.assign(stream, { reconnect: () => tab.reconnect() });
}

/** The first way to the others that there is here. */
function lineFor(key: string, tab: Tab, options: SharedEventStreamOptions): Line | undefined {
	const { worker, fetch = globalThis.fetch } = options;
	const other = () =>
		// Only where the connection is secure: https, localhost.
		"locks" in navigator && "BroadcastChannel" in globalThis
			? new LocksLine(key, tab, fetch, () => tab.change(undefined))
			: undefined;
	// A worker dies with the process of a tab that crashes: whoever notices starts it again.
	const shared = (start: () => SharedWorker): Line | undefined => {
		const fail = (lived: boolean) => tab.change(lived ? shared(start) : other());
		try {
			return new WorkerLine(start(), key, tab, fail);
		} catch {
			return other(); // a sandboxed page, or one without storage, may have none
		}
	};
	return worker && "SharedWorker" in globalThis ? shared(worker) : other();
}
