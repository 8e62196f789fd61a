import type { Gap, StreamEnd } from "../../src/index.ts";
import { createSharedEventStream, type SharedEventStreamOptions } from "../../src/shared.ts";

export interface Plan {
	readonly way: "worker" | "broken-worker" | "locks" | "none";
	readonly subjects: string;
	readonly from?: string;
	readonly lastEventId?: string;
	readonly shareKey?: string;
	/** The token that `headers` gives before `onunauthorized` was called. */
	readonly token?: string;
	/** Reads in a loop that stands until `go` is called. */
	readonly slow?: boolean;
}

declare global {
	interface Window {
		share(url: string, plan: Plan): void;
		/** The data of what came in, in order. */
		seen: string[];
		ids: string[];
		errors: string[];
		gaps: Gap[];
		end: StreamEnd | undefined;
		/** Calls of fetch in this page. */
		requests: number;
		refreshed: number;
		state(): number;
		closeStream(): void;
		reconnectStream(): void;
		go(): void;
	}
}

window.seen = [];
window.ids = [];
window.errors = [];
window.gaps = [];
window.requests = 0;
window.refreshed = 0;

const ownFetch = window.fetch;
window.fetch = (...args) => {
	window.requests++;
	return ownFetch(...args);
};

window.share = (url, { way, token, slow = false, ...plan }) => {
	if (way === "none") {
		Reflect.deleteProperty(Navigator.prototype, "locks");
	}
	let given = token;
	const options: SharedEventStreamOptions = {
		...plan,
		retry: { baseMs: 100 },
		onmessage: (event) => {
			if (!slow) {
				window.seen.push(event.data);
			}
			window.ids.push(event.lastEventId);
		},
		onerror: (error) => window.errors.push(error.code),
		ongap: (gap) => window.gaps.push(gap),
		onclose: (end) => {
			window.end = end;
		},
		...(token !== undefined && {
			headers: () => ({ Authorization: `Bearer ${given}` }),
			onunauthorized: () => {
				window.refreshed++;
				given = "good";
			},
		}),
		...(way === "worker" && {
			worker: () =>
				new SharedWorker(new URL("../../src/shared-worker.ts", import.meta.url), {
					type: "module",
				}),
		}),
		...(way === "broken-worker" && { worker: () => new SharedWorker("/no/such/worker.js") }),
	};
	const stream = createSharedEventStream(url, options);
	if (slow) {
		const gone = new Promise<void>((resolve) => {
			window.go = resolve;
		});
		void (async () => {
			for await (const { data } of stream) {
				await gone;
				window.seen.push(data);
			}
		})();
	}
	window.state = () => stream.readyState;
	window.closeStream = () => stream.close();
	window.reconnectStream = () => stream.reconnect();
};
