import { expect, test, vi } from "vitest";
import { EventStream, fetchEventSource } from "../src/index.ts";
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

test("fetchEventSource: what onopen and onerror throw, and a 401, reject it", async () => {
	const server = await TestServer.start((response, _, n) => {
		if (n === 1) {
			response.destroy();
		} else {
			response.writeHead(401).end();
		}
	});
	const mine = new Error("mine");
	const fail = () => {
		throw mine;
	};
	await expect(fetchEventSource(server.url, { onopen: fail })).rejects.toBe(mine);
	await expect(fetchEventSource(server.url, { onerror: fail })).rejects.toBe(mine);
	await expect(fetchEventSource(server.url)).rejects.toMatchObject({ code: "unauthorized" });
	expect(server.requests).toHaveLength(3);
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
