import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
	createEventStream,
	type EventStreamOptions,
	type ResumableStream,
	type StreamError,
	type StreamEvent,
	type StreamStorage,
} from "../src/index.ts";
import { stream, TestServer } from "./server.ts";

/** Retries at once, but for what a test sets. */
function open(server: TestServer, options: EventStreamOptions = {}): ResumableStream {
	const opened = createEventStream(server.url, { retry: { baseMs: 1 }, ...options });
	onTestFinished(() => opened.close());
	return opened;
}

/** Returns the first events of a stream, without ending it. */
async function take(from: ResumableStream, n: number): Promise<StreamEvent[]> {
	const events: StreamEvent[] = [];
	const reader = from[Symbol.asyncIterator]();
	while (events.length < n) {
		events.push((await reader.next()).value);
	}
	return events;
}

test("an id counts at dispatch: an event cut in the middle comes again", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			stream(response, "data: a\nid: 1\n\ndata: b\nid: 2\n");
			response.write("", () => setImmediate(() => response.destroy()));
		} else {
			stream(response, "data: b\nid: 2\n\n");
		}
	});
	const events = await take(open(server), 2);
	expect(events.map((e) => [e.data, e.lastEventId])).toEqual([
		["a", "1"],
		["b", "2"],
	]);
	expect(server.requests[1]?.headers["last-event-id"]).toBe("1");
});

test("a block of an id alone is resumed from, and is no event", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			stream(response, "id: 7\n\n");
			response.end();
		} else {
			stream(response, "data: x\n\n");
		}
	});
	const [event] = await take(open(server), 1);
	expect(event).toEqual({ type: "message", data: "x", lastEventId: "7" });
	expect(server.requests[1]?.headers["last-event-id"]).toBe("7");
});

test("comments come at the end of their line, in order with the events", async () => {
	const seen: string[] = [];
	const server = await TestServer.start((response) =>
		stream(response, ": a\ndata: 1\n:b\n\n:\ndata: 2\n\n:c\n"),
	);
	open(server, {
		oncomment: (text) => seen.push(`comment ${text}`),
		onmessage: (event) => seen.push(`event ${event.data}`),
	});
	await expect
		.poll(() => seen)
		.toEqual(["comment a", "comment b", "event 1", "comment ", "event 2", "comment c"]);
});

test("subjects go into the query of a GET and into the body of a POST", async () => {
	const server = await TestServer.start((response) => stream(response, "data: x\n\n"));
	await take(open(server, { subjects: ["a.>", "b"], from: "oldest" }), 1);
	await take(open(server, { subjects: "a", method: "POST", body: { type: "add" } }), 1);
	const [get, post] = server.requests;
	expect(get?.url).toBe("/stream?subject=a.%3E&subject=b&from=oldest");
	expect(get?.headers["cache-control"]).toBe("no-cache");
	expect(post?.headers["content-type"]).toBe("application/json");
	expect(JSON.parse(post?.text ?? "")).toEqual({ subject: ["a"], bookmarks: "block", type: "add" });
});

test("a 401 gets a new token once, one call for all streams", async () => {
	let token = "old";
	let release = () => {};
	const refreshing = new Promise<void>((resolve) => {
		release = resolve;
	});
	const onunauthorized = vi.fn(async () => {
		await refreshing;
		token = "new";
	});
	const server = await TestServer.start((response, request) => {
		if (request.headers.authorization === "Bearer new") {
			stream(response, "data: in\n\n");
		} else {
			response.writeHead(401).end();
		}
	});
	const headers = () => ({ Authorization: `Bearer ${token}` });
	let refused = 0;
	const counting: typeof fetch = async (...request) => {
		const response = await fetch(...request);
		if (response.status === 401 && ++refused === 2) {
			setImmediate(release); // when both streams have seen theirs
		}
		return response;
	};
	const options = { headers, onunauthorized, fetch: counting };
	const both = [1, 2].map(() => take(open(server, options), 1));
	expect((await Promise.all(both)).flat().map((e) => e.data)).toEqual(["in", "in"]);
	expect(onunauthorized).toHaveBeenCalledTimes(1);
});

test("a second 401 ends the stream", async () => {
	const server = await TestServer.start((response) => response.writeHead(401).end());
	const failed = open(server, { onunauthorized: () => {} }).done;
	await expect(failed).rejects.toMatchObject({ code: "unauthorized", status: 401 });
	expect(server.requests).toHaveLength(2);
});

test("JSON is the answer, an error object too, and is not retried", async () => {
	const server = await TestServer.start((response, _, n) => {
		response.writeHead(n === 0 ? 200 : 400, { "Content-Type": "application/problem+json" });
		response.end('{"title":"t"}');
	});
	for (const status of [200, 400]) {
		expect(await open(server).done).toEqual({ reason: "json", status, body: { title: "t" } });
	}
	expect(server.requests).toHaveLength(2);
});

test("204 finishes, and so does an event of finishEvents, which is dispatched", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			stream(response, "event: finish\ndata: bye\n\ndata: after\n\n");
		} else {
			response.writeHead(204).end();
		}
	});
	const seen: string[] = [];
	const options = { finishEvents: ["finish"], onmessage: (e: StreamEvent) => seen.push(e.data) };
	expect(await open(server, options).done).toEqual({ reason: "finished" });
	expect(await open(server, options).done).toEqual({ reason: "finished" });
	expect(seen).toEqual(["bye"]);
});

test("Retry-After is a floor", async () => {
	const server = await TestServer.start((response) =>
		response.writeHead(503, { "Retry-After": "7" }).end(),
	);
	const opened = open(server, { onretry: () => opened.close() });
	const delay = new Promise<number>((resolve) => {
		open(server, { onretry: ({ delayMs }) => resolve(delayMs) });
	});
	expect(await opened.done).toEqual({ reason: "closed" });
	expect(await delay).toBe(7_000);
});

test("before the first answer attempts are capped", async () => {
	const server = await TestServer.start((response) => response.destroy());
	const onerror = vi.fn();
	await expect(open(server, { onerror }).done).rejects.toMatchObject({ code: "network" });
	expect(server.requests).toHaveLength(5);
	expect(onerror).toHaveBeenCalledTimes(5);
});

/** Time stands still but for advanceTimersByTime; the sockets go on. */
function stopTime(): void {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
	onTestFinished(() => void vi.useRealTimers());
}

test("the limits of connecting and of being idle are two", async () => {
	stopTime();
	const single = { maxAttempts: 1 };
	let asked = () => {};
	const silent = await TestServer.start(() => asked());
	const arrived = new Promise<void>((resolve) => {
		asked = resolve;
	});
	const unanswered = open(silent, { connectTimeoutMs: 300, retry: single });
	await arrived;
	vi.advanceTimersByTime(300);
	await expect(unanswered.done).rejects.toMatchObject({ code: "connect-timeout" });

	const idle = await TestServer.start((response) => stream(response));
	let opened = () => {};
	const isOpen = new Promise<void>((resolve) => {
		opened = resolve;
	});
	const quiet = open(idle, {
		connectTimeoutMs: 300,
		idleTimeoutMs: 900,
		retry: single,
		onopen: () => opened(),
	});
	await isOpen;
	vi.advanceTimersByTime(899);
	expect(quiet.readyState).toBe(1);
	vi.advanceTimersByTime(1);
	await expect(quiet.done).rejects.toMatchObject({ code: "idle-timeout" });
});

test("any byte feeds the watchdog", async () => {
	stopTime();
	let response: ServerResponse | undefined;
	const server = await TestServer.start((given) => {
		response = given;
		stream(given, ":0\n");
	});
	const comments: string[] = [];
	const beaten = new EventEmitter();
	const opened = open(server, {
		idleTimeoutMs: 900,
		retry: { maxAttempts: 1 },
		oncomment: (text) => {
			comments.push(text);
			beaten.emit("beat");
		},
	});
	await once(beaten, "beat");
	// 20 beats are longer than the limit, no one of them is.
	for (let n = 1; n <= 20; n++) {
		vi.advanceTimersByTime(800);
		response?.write(`:${n}\n`);
		await once(beaten, "beat");
	}
	expect(comments).toHaveLength(21);
	expect(opened.readyState).toBe(1);
	vi.advanceTimersByTime(900);
	await expect(opened.done).rejects.toMatchObject({ code: "idle-timeout" });
});

test("an aborted signal makes no request", async () => {
	const server = await TestServer.start((response) => stream(response));
	expect(await open(server, { signal: AbortSignal.abort() }).done).toEqual({ reason: "closed" });
	expect(server.requests).toHaveLength(0);
});

test("what a listener throws is reported, and the stream goes on", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\n\ndata: b\n\n"));
	const onerror = vi.fn();
	const opened = open(server, {
		onerror,
		onmessage: () => {
			throw new Error("mine");
		},
	});
	const heard: string[] = [];
	opened.addEventListener("message", (e) => heard.push(e.data));
	expect((await take(opened, 2)).map((e) => e.data)).toEqual(["a", "b"]);
	expect(heard).toEqual(["a", "b"]);
	expect(onerror.mock.calls.map(([e]) => [(e as StreamError).code, e.cause.message])).toEqual([
		["listener", "mine"],
		["listener", "mine"],
	]);
	expect(server.requests).toHaveLength(1);
});

test("close() in a listener: not one event more, and the connection ends", async () => {
	let closed = () => {};
	const gone = new Promise<void>((resolve) => {
		closed = resolve;
	});
	const server = await TestServer.start((response) => {
		response.on("close", closed);
		stream(response, "data: a\n\ndata: b\n\n");
	});
	const seen: string[] = [];
	const onclose = vi.fn();
	const opened = open(server, {
		onclose,
		onmessage: (e) => {
			seen.push(e.data);
			opened.close();
		},
	});
	expect(await opened.done).toEqual({ reason: "closed" });
	await gone;
	expect(seen).toEqual(["a"]);
	expect(opened.readyState).toBe(2);
	expect(onclose).toHaveBeenCalledTimes(1);
});

/** Closes, and never comes to an end itself. */
function hang(close: () => void): Promise<never> {
	close();
	return new Promise(() => {});
}

/** Where a stream can be when it is closed, and what gets it there. */
const STATES: Record<string, (close: () => void) => EventStreamOptions> = {
	"the id is read": (close) => ({ storage: { getItem: () => hang(close), setItem: () => {} } }),
	"headers are made": (close) => ({ headers: () => hang(close) }),
	"the body is made": (close) => ({ body: () => hang(close) }),
	"the request waits for its answer": (close) => ({ fetch: () => hang(close) }), // whatever its signal says
	"a token is renewed": (close) => ({
		fetch: async () => new Response(null, { status: 401 }),
		onunauthorized: () => hang(close),
	}),
	"the answer is read": (close) => ({
		fetch: async () =>
			new Response(new ReadableStream({ pull: close }, { highWaterMark: 0 }), {
				headers: { "Content-Type": "application/json" },
			}),
	}),
	"the stream opens": (close) => ({ onopen: close }),
	"a retry is told of": (close) => ({
		fetch: () => Promise.reject(new TypeError("no network")),
		onretry: close,
	}),
	"a retry is waited for": (close) => ({
		fetch: () => Promise.reject(new TypeError("no network")),
		retry: { baseMs: 600_000, jitter: false },
		onretry: () => void setImmediate(close),
	}),
	"the stream is quiet": (close) => ({
		onopen: () => void setImmediate(close),
	}),
};

test.each(Object.entries(STATES))(
	"close() while %s ends it, once and without an error",
	async (_, at) => {
		const server = await TestServer.start((response) => stream(response));
		const heard = { onmessage: vi.fn(), onerror: vi.fn(), onclose: vi.fn() };
		const opened: ResumableStream = open(server, { ...heard, ...at(() => opened.close()) });
		expect(await opened.done).toEqual({ reason: "closed" });
		expect(opened.readyState).toBe(2);
		expect(heard.onmessage).not.toHaveBeenCalled();
		expect(heard.onerror.mock.calls.filter(([e]) => e.code !== "network")).toEqual([]);
		expect(heard.onclose).toHaveBeenCalledTimes(1);
	},
);

test("close() while a for await loop waits ends the loop", async () => {
	const server = await TestServer.start((response) => stream(response));
	const opened = open(server, { onopen: () => void setImmediate(() => opened.close()) });
	for await (const event of opened) {
		expect.unreachable(event.data);
	}
	expect(await opened.done).toEqual({ reason: "closed" });
});

test("an event that a loop has not taken when the stream is closed is resumed from", async () => {
	const server = await TestServer.start((response) =>
		stream(response, "data: a\nid: 1\n\ndata: b\nid: 2\n\n"),
	);
	const opened = open(server, {
		onmessage: ({ data }) => data === "b" && setImmediate(() => opened.close()),
	});
	const loop = opened[Symbol.asyncIterator]();
	expect((await loop.next()).value).toMatchObject({ data: "a", lastEventId: "1" });
	await opened.done; // b waits for next() meanwhile
	expect(await loop.next()).toEqual({ done: true, value: undefined });
	expect(opened.lastEventId).toBe("1");
});

test("next() can be called ahead", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\n\ndata: b\n\n"));
	const loop = open(server)[Symbol.asyncIterator]();
	const both = await Promise.all([loop.next(), loop.next()]);
	expect(both.map(({ value }) => value.data)).toEqual(["a", "b"]);
});

test("a loop holds the server back: what is under way is bounded", async () => {
	const block = `data: ${"x".repeat(64 << 10)}\n\n`;
	const blocks = 2_000; // 128 MiB
	let written = 0;
	const server = await TestServer.start(async (response) => {
		stream(response);
		while (written < blocks && response.writable) {
			written++;
			if (!response.write(block)) {
				await new Promise((resolve) => response.once("drain", resolve));
			}
		}
	});
	let taken = 0;
	let ahead = 0;
	for await (const _ of open(server)) {
		taken++;
		ahead = Math.max(ahead, written - taken);
		if (taken === blocks) {
			break;
		}
		await new Promise((resolve) => setImmediate(resolve)); // the server's turn
	}
	// The buffers of two sockets and of fetch are some MiB.
	expect(ahead).toBeLessThan(blocks / 4);
});

test("a for await loop holds the stream back, and leaving it closes", async () => {
	const server = await TestServer.start((response) =>
		stream(response, "data: a\nid: 1\n\ndata: b\nid: 2\n\ndata: c\nid: 3\n\n"),
	);
	const opened = open(server);
	const ids: string[] = [];
	for await (const event of opened) {
		await new Promise((resolve) => setImmediate(resolve));
		ids.push(event.lastEventId);
		if (event.data === "b") {
			break;
		}
	}
	expect(ids).toEqual(["1", "2"]);
	expect(await opened.done).toEqual({ reason: "closed" });
});

test("a gap is told apart from events", async () => {
	const gap = { reason: "expired", requested: "1-a", oldest: "5-b" };
	const server = await TestServer.start((response) =>
		stream(response, `event: ringcast.gap\ndata: ${JSON.stringify(gap)}\nid: 4-c\n\n`),
	);
	const onmessage = vi.fn();
	const told = await new Promise((resolve) => open(server, { onmessage, ongap: resolve }));
	expect(told).toEqual(gap);
	expect(onmessage).not.toHaveBeenCalled();
});

/** A storage that counts what is written. */
function memory(): { storage: StreamStorage; written: string[] } {
	const kept = new Map<string, string>();
	const written: string[] = [];
	const storage = {
		getItem: (key: string) => kept.get(key) ?? null,
		setItem: (key: string, value: string) => {
			kept.set(key, value);
			written.push(value);
		},
	};
	return { storage, written };
}

test("the id is kept for the next visit", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\nid: 9\n\n"));
	const { storage } = memory();
	const first = open(server, { storage });
	await take(first, 1);
	first.close();
	await first.done;
	await take(open(server, { storage }), 1);
	expect(server.requests[1]?.headers["last-event-id"]).toBe("9");
});

test("ids are written once a second and at the end, never ahead of the loop; bookmarks too", async () => {
	stopTime();
	let response: ServerResponse | undefined;
	const server = await TestServer.start((given) => {
		response = given;
		stream(given, "data: a\nid: 1\n\ndata: b\nid: 2\n\ndata: c\nid: 3\n\n");
	});
	const { storage, written } = memory();
	let read = () => {};
	const bookmarked = new Promise<void>((resolve) => {
		read = resolve;
	});
	const opened = open(server, { storage, oncomment: () => read() });
	const loop = opened[Symbol.asyncIterator]();
	await loop.next();
	await loop.next();
	await new Promise((resolve) => setImmediate(resolve)); // c is offered, and waits
	expect(written).toEqual([]);
	vi.advanceTimersByTime(1_000);
	expect(written).toEqual(["2"]);
	await loop.next();
	response?.write("id: 4\n\n:read\n");
	await bookmarked;
	opened.close();
	await opened.done;
	expect(written).toEqual(["2", "4"]);
});

test("a storage that fails is reported, and the stream goes on", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\nid: 1\n\n"));
	const onerror = vi.fn();
	const storage = {
		getItem: () => Promise.reject(new Error("read")),
		setItem: () => Promise.reject(new Error("kept")),
	};
	const opened = open(server, { storage, onerror });
	await take(opened, 1);
	opened.close();
	await expect
		.poll(() => onerror.mock.calls.map(([e]) => [e.code, e.cause.message]))
		.toEqual([
			["storage", "read"],
			["storage", "kept"],
		]);
});

test.each([
	['{\n\t"v": 1\n}', "{"],
	["7-x\0", "7-x"],
	["\n", undefined],
	[7, "7"],
	["é", "\u00c3\u00a9"],
])("what a storage holds is no id: %j", async (kept, sent) => {
	const server = await TestServer.start((response) => response.writeHead(204).end());
	const storage = { getItem: () => kept as string, setItem: () => {} };
	expect(await open(server, { storage }).done).toEqual({ reason: "finished" });
	expect(server.requests[0]?.headers["last-event-id"] || undefined).toBe(sent);
});

test("retry: is the base of the backoff from then on", async () => {
	const server = await TestServer.start((response) => {
		stream(response, "retry: 7000\ndata: a\n\n");
		response.end();
	});
	const delays: number[] = [];
	const opened = open(server, {
		retry: { baseMs: 1, jitter: false },
		onretry: ({ delayMs }) => {
			delays.push(delayMs);
			opened.close();
		},
	});
	await opened.done;
	expect(delays).toEqual([7_000]);
});

test("a number that onretry returns is the delay, but not below Retry-After", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n < 2) {
			response.writeHead(503, n === 0 ? {} : { "Retry-After": "600" }).end();
		}
	});
	const opened = open(server, {
		retry: { baseMs: 600_000, jitter: false },
		onretry: () => {
			if (server.requests.length === 2) {
				setImmediate(() => opened.close());
			}
			return 1;
		},
	});
	expect(await opened.done).toEqual({ reason: "closed" });
	expect(server.requests).toHaveLength(2);
});

test("an id beyond ASCII comes back as it was sent", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\n\n"));
	await take(open(server, { lastEventId: "é→1" }), 1);
	const sent = Buffer.from(server.requests[0]?.headers["last-event-id"] as string, "latin1");
	expect(sent.toString()).toBe("é→1");
});

test("reconnect() resumes at once, with one connection", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\nid: 1\n\n"));
	const opened = open(server, { retry: { baseMs: 60_000, jitter: false } });
	await take(opened, 1);
	opened.reconnect();
	await expect.poll(() => server.requests.length).toBe(2);
	expect(server.requests[1]?.headers["last-event-id"]).toBe("1");
});

test("reconnect() in onerror resumes at once, whatever the delay", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			response.writeHead(503, { "Retry-After": "600" }).end();
		} else {
			stream(response, "data: x\n\n");
		}
	});
	const opened: ResumableStream = open(server, { onerror: () => opened.reconnect() });
	expect((await take(opened, 1)).map((e) => e.data)).toEqual(["x"]);
});

test("reconnect() does not begin the backoff anew: it may be called by what hurries others", async () => {
	const delays: number[] = [];
	const opened = createEventStream("http://server/", {
		fetch: () => Promise.reject(new TypeError("no connection")),
		retry: { jitter: false },
		onretry: ({ delayMs }) => {
			delays.push(delayMs);
			opened.reconnect();
		},
	});
	await expect(opened.done).rejects.toMatchObject({ code: "network" });
	expect(delays).toEqual([1_000, 2_000, 4_000, 8_000]);
});

test("reconnect() while a token is renewed waits for the same call", async () => {
	let token = "old";
	const server = await TestServer.start((response, request, n) => {
		if (request.headers.authorization === "Bearer new") {
			stream(response, "data: in\n\n");
			return;
		}
		response.writeHead(401).end();
		if (n === 1) {
			setImmediate(renewed.emit.bind(renewed, "now"));
		}
	});
	const renewed = new EventEmitter();
	const opened: ResumableStream = open(server, {
		headers: () => ({ Authorization: `Bearer ${token}` }),
		onunauthorized: async () => {
			const now = once(renewed, "now");
			opened.reconnect();
			await now;
			token = "new";
		},
	});
	expect((await take(opened, 1)).map((e) => e.data)).toEqual(["in"]);
	expect(server.requests).toHaveLength(3);
});

test("a 401 after another failure gets a new token again", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 3) {
			stream(response, "data: in\n\n");
		} else {
			response.writeHead(n === 1 ? 503 : 401).end();
		}
	});
	const onunauthorized = vi.fn();
	const contexts: boolean[] = [];
	const headers: EventStreamOptions["headers"] = ({ unauthorized }) => {
		contexts.push(unauthorized);
		return {};
	};
	await take(open(server, { headers, onunauthorized }), 1);
	expect(onunauthorized).toHaveBeenCalledTimes(2);
	expect(contexts).toEqual([false, true, false, true]);
});

describe("offline", () => {
	beforeEach(() => void vi.stubGlobal("navigator", { onLine: false }));
	afterEach(() => void vi.unstubAllGlobals());

	const unreachable = async () => {
		throw new TypeError("no network");
	};

	test("attempts are not counted, but become as rare: a browser may be wrong", async () => {
		const delays: number[] = [];
		const opened = createEventStream("http://server/", {
			fetch: unreachable,
			retry: { jitter: false },
			onretry: ({ delayMs }) => {
				delays.push(delayMs);
				if (delays.length === 8) {
					opened.close();
				}
				return 0;
			},
		});
		expect(await opened.done).toEqual({ reason: "closed" });
		expect(delays).toEqual([1, 2, 4, 8, 16, 30, 30, 30].map((s) => s * 1_000));
	});

	test.each(["before its answer", "in its answer"])(
		"a request that lost the network %s counts",
		async (when) => {
			vi.stubGlobal("navigator", { onLine: true });
			const server = await TestServer.start((response) => {
				vi.stubGlobal("navigator", { onLine: false });
				if (when === "in its answer") {
					stream(response);
				}
				setImmediate(() => response.destroy());
			});
			const opened = open(server, { body: { question: 1 }, retry: { maxAttempts: 1 } });
			await expect(opened.done).rejects.toMatchObject({ code: "offline" });
			expect(server.requests).toHaveLength(1);
		},
	);
});

test("subjects go into the query beside a body that is not JSON, and whatever the case of GET", async () => {
	const server = await TestServer.start((response) => stream(response, "data: x\n\n"));
	await take(open(server, { subjects: "a", body: "text" }), 1);
	await take(open(server, { subjects: "a", method: "get" }), 1);
	const [post, get] = server.requests;
	expect([post?.method, post?.url, post?.text]).toEqual(["POST", "/stream?subject=a", "text"]);
	expect([get?.method, get?.url]).toEqual(["GET", "/stream?subject=a"]);
});
