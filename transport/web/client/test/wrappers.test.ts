import { expect, onTestFinished, test, vi } from "vitest";
import { EventStream, EventStreamContentType, fetchEventSource } from "../src/index.ts";
import { stream, TestServer } from "./server.ts";

test("fetchEventSource: posts, gives messages in the old shape, resolves at a clean end", async () => {
	const server = await TestServer.start((response) => {
		stream(response, "retry: 5\n\nid: 1\n\ndata: a\nid: 2\n\nevent: t\ndata: b\n\n");
		response.end();
	});
	const onmessage = vi.fn();
	const onclose = vi.fn();
	const headers = { "Content-Type": "text/plain", "X-Mine": "1" };
	await fetchEventSource(server.url, { method: "POST", body: "q", headers, onmessage, onclose });
	expect(onmessage.mock.calls.flat()).toEqual([
		{ id: "2", event: "", data: "a", retry: 5 },
		{ id: "2", event: "t", data: "b" },
	]);
	expect(onclose).toHaveBeenCalledTimes(1);
	expect(server.requests).toHaveLength(1);
	expect(server.requests[0]?.text).toBe("q");
	expect(server.requests[0]?.headers["x-mine"]).toBe("1");
});

test("fetchEventSource: without callbacks a refusal rejects, and is asked for once", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			response.writeHead(401).end();
		} else if (n === 1) {
			response.writeHead(200, { "Content-Type": "text/html" }).end("<p>log in</p>");
		} else {
			response.writeHead(400, { "Content-Type": "application/json" }).end("{}");
		}
	});
	await expect(fetchEventSource(server.url)).rejects.toMatchObject({ code: "unauthorized" });
	await expect(fetchEventSource(server.url)).rejects.toMatchObject({ code: "content-type" });
	await expect(fetchEventSource(server.url)).rejects.toMatchObject({ status: 400 });
	expect(server.requests).toHaveLength(3);
});

/** The callbacks of the other package's documentation. */
class RetriableError extends Error {}
class FatalError extends Error {}

test("fetchEventSource: the documented callbacks decide what is tried again", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			response.writeHead(503).end();
		} else if (n === 1) {
			stream(response, "data: a\nid: 1\n\n");
			response.end();
		} else {
			stream(response, "event: FatalError\ndata: enough\n\ndata: b\n\n");
		}
	});
	const statuses: number[] = [];
	const retried: unknown[] = [];
	const messages: string[] = [];
	const call = fetchEventSource(server.url, {
		onopen: async (response) => {
			statuses.push(response.status);
			if (response.headers.get("content-type") !== EventStreamContentType) {
				throw new RetriableError("not yet");
			}
		},
		onmessage: (message) => {
			if (message.event === "FatalError") {
				throw new FatalError(message.data);
			}
			messages.push(message.data);
		},
		onclose: () => {
			throw new RetriableError("closed");
		},
		onerror: (error) => {
			if (error instanceof FatalError) {
				throw error;
			}
			retried.push(error);
			return 1; // ms
		},
	});
	await expect(call).rejects.toEqual(new FatalError("enough"));
	expect(statuses).toEqual([503, 200, 200]);
	expect(retried).toEqual([new RetriableError("not yet"), new RetriableError("closed")]);
	expect(messages).toEqual(["a"]);
	expect(server.requests[2]?.headers["last-event-id"]).toBe("1");
});

test("fetchEventSource: without onerror, what a callback throws ends the call", async () => {
	const server = await TestServer.start((response) => {
		stream(response, "data: a\n\n");
		response.end();
	});
	const mine = new Error("mine");
	const fail = () => {
		throw mine;
	};
	for (const callback of ["onopen", "onmessage", "onclose"]) {
		await expect(fetchEventSource(server.url, { [callback]: fail })).rejects.toBe(mine);
	}
	expect(server.requests).toHaveLength(3);
});

test("fetchEventSource: a mistake in onmessage that onerror lets pass costs nothing", async () => {
	const server = await TestServer.start((response) => {
		stream(response, "data: a\n\ndata: b\n\n");
		response.end();
	});
	const onerror = vi.fn();
	const onmessage = vi.fn(() => {
		throw new Error("mine");
	});
	await fetchEventSource(server.url, { onmessage, onerror });
	expect(onmessage).toHaveBeenCalledTimes(2);
	expect(onerror.mock.calls).toEqual([[new Error("mine")], [new Error("mine")]]);
	expect(server.requests).toHaveLength(1);
});

test("fetchEventSource: a Request is sent whole, with every attempt", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 0) {
			response.destroy();
		} else {
			stream(response);
			response.end();
		}
	});
	const request = new Request(server.url, {
		method: "POST",
		body: "q",
		headers: { "Content-Type": "text/plain", "X-Mine": "1" },
	});
	await fetchEventSource(request, { headers: { "x-mine": "2" }, onerror: () => 1 });
	for (const { method, text, headers } of server.requests) {
		expect([method, text]).toEqual(["POST", "q"]);
		expect(headers).toMatchObject({ "content-type": "text/plain", "x-mine": "2" });
	}
	expect(server.requests).toHaveLength(2);
});

test("fetchEventSource: resumes from a last-event-id of the headers; an abort resolves", async () => {
	const server = await TestServer.start((response) => stream(response, "data: a\n\n"));
	const controller = new AbortController();
	const onclose = vi.fn();
	await fetchEventSource(server.url, {
		headers: { "last-event-id": "7" },
		signal: controller.signal,
		onmessage: () => controller.abort(),
		onclose,
	});
	await fetchEventSource(server.url, { signal: controller.signal, onclose });
	expect(onclose).not.toHaveBeenCalled();
	expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual(["7"]);
});

test("EventStream: parameters in, parsed chunks out, and an end", async () => {
	const server = await TestServer.start((response) => {
		stream(response, 'data: {"n":1}\n\ndata: text\n\n');
		response.end();
	});
	const callback = vi.fn();
	const end = await new EventStream(server.url).retrieveData({ q: "x" }, callback);
	expect(end).toEqual({ reason: "finished" });
	expect(JSON.parse(server.requests[0]?.text ?? "")).toEqual({ q: "x" });
	expect(callback.mock.calls.flat()).toEqual([
		{ data: { n: 1 }, type: "message", isEnd: false },
		{ data: "text", type: "message", isEnd: false },
		{ data: undefined, type: "message", isEnd: true },
	]);
});

test("EventStream: what onmessage of the options throws costs the callback nothing", async () => {
	const server = await TestServer.start((response) => {
		stream(response, "data: 1\n\n");
		response.end();
	});
	const errors: string[] = [];
	const questions = new EventStream<number>(server.url, {
		onmessage: () => {
			throw new Error("mine");
		},
		onerror: ({ code }) => errors.push(code),
	});
	const data: unknown[] = [];
	await questions.retrieveData({}, (chunk) => data.push(chunk.data));
	expect(data).toEqual([1, undefined]);
	expect(errors).toEqual(["listener"]);
});

test("EventStream: one JSON document is the last chunk", async () => {
	const server = await TestServer.start((response) => {
		response.writeHead(200, { "Content-Type": "application/json" }).end('{"n":2}');
	});
	const callback = vi.fn();
	await new EventStream(server.url).retrieveData({}, callback);
	expect(callback.mock.calls).toEqual([[{ data: { n: 2 }, type: "message", isEnd: true }]]);
});

test("EventStream: close() ends the calls", async () => {
	const server = await TestServer.start((response) => stream(response, "data: 1\n\ndata: 2\n\n"));
	const questions = new EventStream<number>(server.url);
	const callback = vi.fn(() => questions.close());
	expect(await questions.retrieveData({}, callback)).toEqual({ reason: "closed" });
	expect(callback).toHaveBeenCalledTimes(1);
});

test("fetchEventSource: an answer may take as long as it wants, as before", async () => {
	vi.useFakeTimers();
	onTestFinished(() => void vi.useRealTimers());
	const onmessage = vi.fn();
	const call = fetchEventSource("http://server/", {
		fetch: async () => {
			await new Promise((resolve) => setTimeout(resolve, 600_000));
			const headers = { "Content-Type": EventStreamContentType };
			return new Response("data: thought about\n\n", { headers });
		},
		onmessage,
	});
	await vi.advanceTimersByTimeAsync(601_000);
	await call;
	expect(onmessage).toHaveBeenCalledTimes(1);
});

test("fetchEventSource: what onopen throws rejects, in the last attempt too", async () => {
	vi.useFakeTimers();
	onTestFinished(() => void vi.useRealTimers());
	const mine = new Error("mine");
	let attempts = 0;
	const call = fetchEventSource("http://server/", {
		fetch: async () => {
			if (++attempts < 5) {
				throw new TypeError("no connection");
			}
			return new Response(null, { status: 503 });
		},
		onopen: () => Promise.reject(mine),
	});
	const rejected = expect(call).rejects.toBe(mine);
	await vi.advanceTimersByTimeAsync(60_000);
	await rejected;
	expect(attempts).toBe(5);
});
