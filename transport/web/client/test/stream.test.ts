import { expect, onTestFinished, test, vi } from "vitest";
import {
	createEventStream,
	type EventStreamOptions,
	type ResumableStream,
	type StreamError,
	type StreamEvent,
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

test("the limits of connecting and of being idle are two", async () => {
	const silent = await TestServer.start(() => {});
	const once = { maxAttempts: 1 };
	await expect(open(silent, { connectTimeoutMs: 30, retry: once }).done).rejects.toMatchObject({
		code: "connect-timeout",
	});
	const idle = await TestServer.start((response) => stream(response));
	const options = { connectTimeoutMs: 10_000, idleTimeoutMs: 30, retry: once };
	await expect(open(idle, options).done).rejects.toMatchObject({ code: "idle-timeout" });
});

test("any byte feeds the watchdog", async () => {
	const server = await TestServer.start((response) => {
		stream(response);
		let n = 0;
		const beat = setInterval(() => response.write(++n < 20 ? ":" : "\ndata: x\n\n"), 50);
		response.on("close", () => clearInterval(beat));
	});
	// 20 beats of 50 ms are longer than the limit, no one of them is.
	const onerror = vi.fn();
	const [event] = await take(open(server, { idleTimeoutMs: 900, onerror }), 1);
	expect(event?.data).toBe("x");
	expect(onerror).not.toHaveBeenCalled();
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

test.each(["headers", "body", "onunauthorized", "onopen", "onretry"] as const)(
	"close() during %s ends it",
	async (where) => {
		const server = await TestServer.start((response) => {
			if (where === "onunauthorized") {
				response.writeHead(401).end();
			} else if (where === "onretry") {
				response.destroy();
			} else {
				stream(response, "data: x\n\n");
			}
		});
		const onmessage = vi.fn();
		const opened = open(server, {
			onmessage,
			[where]: () => {
				opened.close();
				return where === "headers" || where === "onunauthorized"
					? new Promise(() => {})
					: undefined;
			},
		});
		expect(await opened.done).toEqual({ reason: "closed" });
		expect(onmessage).not.toHaveBeenCalled();
	},
);

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

test("the id is kept for the next visit, and is that of the events dispatched", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\nid: 9\n\n"));
	const kept = new Map<string, string>();
	const storage = {
		getItem: (key: string) => kept.get(key) ?? null,
		setItem: (key: string, value: string) => kept.set(key, value),
	};
	await take(open(server, { storage }), 1);
	await expect.poll(() => [...kept.values()]).toEqual(["9"]);
	await take(open(server, { storage }), 1);
	expect(server.requests[1]?.headers["last-event-id"]).toBe("9");
});

test("reconnect() resumes at once, with one connection", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\nid: 1\n\n"));
	const opened = open(server, { retry: { baseMs: 60_000, jitter: false } });
	await take(opened, 1);
	opened.reconnect();
	await expect.poll(() => server.requests.length).toBe(2);
	expect(server.requests[1]?.headers["last-event-id"]).toBe("1");
});
