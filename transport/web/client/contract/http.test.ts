import { describe, expect, test } from "vitest";
import { Follower, Harness, message, serve } from "./rig.ts";

const harness = new Harness();

// The harness's "HTTP behavior".

test("method and headers by default", async () => {
	const request = await (await harness.follow()).connected();
	expect(request.method).toBe("GET");
	expect(request.body).toBe("");
	expect(request.header("accept")).toBe("text/event-stream");
	expect(request.header("cache-control")).toBe("no-cache");
	expect(request.header("last-event-id")).toBeUndefined();
});

test("headers", async () => {
	const headers = { "header-name-1": "value-1", "header-name-2": "value-2", accept: "*/*" };
	const request = await (await harness.follow({ headers })).connected();
	expect(request.header("header-name-1")).toBe("value-1");
	expect(request.header("header-name-2")).toBe("value-2");
	expect(request.header("accept")).toBe("*/*");
});

test.each(["POST", "REPORT"])("%s", async (method) => {
	const body = '{"hello": "world"}';
	const headers = { "content-type": "application/json; charset=utf-8" };
	const request = await (await harness.follow({ method, body, headers })).connected();
	expect(request.method).toBe(method);
	expect(request.body).toBe(body);
	expect(request.header("content-type")).toBe(headers["content-type"]);
});

test("the first id is sent, and counts as one that was received", async () => {
	const follower = await harness.follow({ lastEventId: "abc" });
	const stream = await follower.connected();
	expect(stream.header("last-event-id")).toBe("abc");
	await stream.send("data: a\n\n");
	await follower.reported(message("a", "abc"));
});

test("204 ends the client: it has asked once, and reports nothing", async () => {
	let requests = 0;
	const streamUrl = await serve((_, response) => {
		requests++;
		response.writeHead(204).end();
	});
	const follower = await harness.follow({ streamUrl, initialDelayMs: 0 });
	await harness.logged("ended: finished");
	expect(requests).toBe(1);
	expect(follower.reports.isEmpty).toBe(true);
});

describe.each([301, 307])("%d", (status) => {
	test("is followed", async () => {
		const there = new Follower();
		const target = await serve((_, response) => there.stream(response));
		const streamUrl = await serve((_, response) =>
			response.writeHead(status, { Location: target }).end(),
		);
		const follower = await harness.follow({ streamUrl });
		await (await there.connected()).send("data: hello\n\n");
		await follower.reported(message("hello"));
	});

	// Neither a loop nor silence.
	test.each([
		["an empty location", { Location: "" }],
		["no location", {}],
	])("with %s is an error", async (_, headers) => {
		const streamUrl = await serve((_, response) => response.writeHead(status, headers).end());
		await (await harness.follow({ streamUrl })).failed();
	});
});
