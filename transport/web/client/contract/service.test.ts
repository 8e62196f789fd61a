import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { follow, Harness, Queue, request, serve } from "./rig.ts";
import { Service } from "./service.ts";

const harness = new Harness();
const MORE_THAN_SOCKETS_HOLD = 16 << 20;

test("the capabilities", async () => {
	const status = (await (await request("GET", `${harness.url}/`)).json()) as object;
	expect(status).toMatchObject({
		capabilities: [
			"bom",
			"comments",
			"event-type-listeners",
			"headers",
			"last-event-id",
			"post",
			"read-timeout",
			"report",
			"restart",
			"server-directed-shutdown-request",
		],
	});
});

test("null for what is not set, and members that later versions may add", async () => {
	const rest = { initialDelayMs: null, readTimeoutMs: null, headers: null, later: 1 };
	const follower = await harness.follow(rest);
	expect(follower.location).toMatch(new RegExp(`^${harness.url}/streams/\\d+$`));
	await follower.connected();
});

describe("refused, by a text that says why", () => {
	const url = "http://127.0.0.1/";
	const both = { streamUrl: url, callbackUrl: url };
	const tooLarge = `"${"x".repeat(1 << 20)}"`;
	test.each<[body: unknown, reason: string]>([
		["", "the body: not JSON"],
		["{", "the body: not JSON"],
		["null", "the body: not a JSON object"],
		["[]", "the body: not a JSON object"],
		[tooLarge, "the body: more than 1048576 bytes"],
		[{}, "streamUrl: not an http or https URL"],
		[{ streamUrl: url }, "callbackUrl: not an http or https URL"],
		[{ ...both, streamUrl: 1 }, "streamUrl: not a string"],
		[{ ...both, streamUrl: "ftp://127.0.0.1/" }, "streamUrl: not an http or https URL"],
		[{ ...both, streamUrl: "http://%zz/" }, "streamUrl: not an http or https URL"],
		[{ ...both, callbackUrl: "/here" }, "callbackUrl: not an http or https URL"],
		[{ ...both, tag: 1 }, "tag: not a string"],
		[{ ...both, initialDelayMs: -1 }, "initialDelayMs: not a whole number from 0 to 2147483647"],
		[{ ...both, readTimeoutMs: "soon" }, "readTimeoutMs: not a whole number"],
		[{ ...both, readTimeoutMs: 2 ** 31 }, "readTimeoutMs: not a whole number"],
		[{ ...both, headers: "a: b" }, "headers: not a JSON object"],
		[{ ...both, headers: { "a b": "c" } }, 'headers: "a b" is no header'],
		[{ ...both, headers: { a: "b\nc" } }, 'headers: "a" is no header'],
		[{ ...both, headers: { a: 1 } }, "headers: a: not a string"],
		[{ ...both, body: "x" }, "no such request can be made"],
		[{ ...both, method: "GE T" }, "no such request can be made"],
	])("parameters %j", async (body, reason) => {
		const answer = await request("POST", `${harness.url}/`, body);
		expect(await answer.text()).toContain(reason);
		expect(answer.status).toBe(400);
	});

	test.each<[body: unknown, reason: string]>([
		["{", "the body: not JSON"],
		[{}, 'command: only "listen" and "restart" are known'],
		[{ command: "jump" }, 'command: only "listen" and "restart" are known'],
		[{ command: "listen" }, "listen: not a JSON object"],
		[{ command: "listen", listen: {} }, "listen: type is missing"],
		[{ command: "listen", listen: { type: 1 } }, "listen: type: not a string"],
	])("command %j", async (body, reason) => {
		const { location } = await harness.follow();
		const answer = await request("POST", location, body);
		expect(await answer.text()).toContain(reason);
		expect(answer.status).toBe(400);
	});

	test.each([
		["POST", "/streams/0"],
		["DELETE", "/streams/0"],
		["GET", "/streams"],
		["PUT", "/"],
	])("%s %s, which is not there", async (method, path) => {
		const body = method === "POST" ? { command: "restart" } : undefined;
		expect((await request(method, harness.url + path, body)).status).toBe(404);
	});
});

test("a client that cannot go on says so, and its stream is there until it is deleted", async () => {
	const streamUrl = await serve((_, response) => response.writeHead(403).end());
	const follower = await harness.follow({ streamUrl });
	expect(await follower.failed()).toBe("the server answered 403");
	await follower.command({ command: "restart" });
});

test("a report that is refused is logged with the harness's name of the test", async () => {
	const callbackUrl = await serve((_, response) => response.writeHead(400).end());
	const follower = await harness.follow({ callbackUrl, tag: "mine" });
	await (await follower.connected()).send("data: a\n\n");
	const line = await harness.logged("callback 1 failed");
	expect(line).toContain('"mine"');
	expect(line).toContain("the harness answered 400");
});

test("a stream that is deleted is disconnected, and reports nothing more", async () => {
	const reports = new Queue<string | undefined>();
	const callbackUrl = await serve((request) => reports.push(request.url)); // unanswered
	const follower = await harness.follow({ callbackUrl });
	const { location } = follower;
	const stream = await follower.connected();
	await stream.send("data: a\n\ndata: b\n\n");
	expect(await reports.next()).toBe("/1");
	await follower.delete();
	await stream.closed;
	expect((await request("DELETE", location)).status).toBe(404);
	expect(reports.isEmpty).toBe(true);
});

test("a harness that is slow to answer gets one report at a time, and holds the client back", async () => {
	const answers = new Queue<ServerResponse>();
	const callbackUrl = await serve((_, response) => answers.push(response));
	const follower = await harness.follow({ callbackUrl, initialDelayMs: 0 });
	const stream = await follower.connected();
	await stream.send("data: a\n\ndata: b\n\n");
	const first = await answers.next();
	await follower.command({ command: "restart" });
	await stream.closed;
	await follower.listen("late"); // while it waits, it obeys
	expect(answers.isEmpty).toBe(true);
	expect(follower.isConnected).toBe(false);
	first.end();
	const second = await answers.next();
	expect(second.req.url).toBe("/2");
	second.end();
	await follower.connected();
});

test("a stream is read no further than what is reported", async () => {
	const answers = new Queue<ServerResponse>();
	const callbackUrl = await serve((_, response) => answers.push(response));
	const follower = await harness.follow({ callbackUrl });
	const stream = await follower.connected();
	await stream.send("data: a\n\n");
	const first = await answers.next();
	await stream.send("x".repeat(MORE_THAN_SOCKETS_HOLD), "\n\ndata: b\n\n");
	for (let i = 0; i < 100; i++) {
		await follower.listen(`type ${i}`); // time enough to read all
	}
	expect(stream.unsentBytes).toBeGreaterThan(0);
	first.end();
	(await answers.next()).end();
	expect(stream.unsentBytes).toBe(0);
});

test("the command that make runs: DELETE / ends it, streams under way too", async () => {
	const process = spawn("npm", ["run", "--silent", "contract-service", "--", "--port", "0"], {
		cwd: resolve(import.meta.dirname, ".."),
		stdio: ["ignore", "ignore", "pipe"],
		detached: true, // a group of its own, to be ended as one where the test fails
	});
	const exited = once(process, "exit");
	onTestFinished(() => {
		if (process.exitCode === null && process.pid !== undefined) {
			globalThis.process.kill(-process.pid);
		}
	});
	const url = await servingUrl(process.stderr);
	const follower = await follow(url, {});
	const stream = await follower.connected();
	expect((await request("DELETE", `${url}/`)).status).toBe(204);
	follower.location = "";
	await stream.closed;
	expect(await exited).toEqual([0, null]);
});

test.each(["-1", "no port"])("--port %j is refused", async (port) => {
	await expect(Service.start(Number(port), () => {})).rejects.toThrow("port");
});

async function servingUrl(log: Readable): Promise<string> {
	const lines: string[] = [];
	for await (const line of createInterface(log)) {
		const url = /^serving (.+)/.exec(line)?.[1];
		if (url !== undefined) {
			log.resume();
			return url;
		}
		lines.push(line);
	}
	throw new Error(`the service did not start:\n${lines.join("\n")}`);
}
