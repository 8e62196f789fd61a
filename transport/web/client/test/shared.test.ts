import { describe, expect, test } from "vitest";
import { BodyDecoder } from "../src/body.ts";
import { beginOf } from "../src/shared/key.ts";
import { entriesOf, Log } from "../src/shared/log.ts";
import { order } from "../src/shared/order.ts";
import { createSharedEventStream } from "../src/shared.ts";
import { stream, TestServer } from "./server.ts";

describe("order", () => {
	test.each([
		["9-aaa", "10-aab", -1],
		["10-aab", "9-aaa", 1],
		["9007199254740993-b", "9007199254740992-a", 1], // more than a number holds
		["7-aaa", "7-aaa", 0],
		["0-0", "1-aaa", -1],
		["8-aaa", "9-aaa", -1], // stored in the same nanosecond
		["same, of no gateway", "same, of no gateway", 0],
	])("%s, %s: %d", (a, b, expected) => {
		expect(Math.sign(order(a, b) as number)).toBe(expected);
	});

	test.each([
		["7-aaa", "7-aab"], // the same place, at another time
		["8-aaa", "7-aab"], // stored before what it stands behind
		["7", "8-aaa"],
		["", "8-aaa"],
		["x", "y"],
	])("%s, %s: not of one stream", (a, b) => {
		expect(order(a, b)).toBeUndefined();
	});
});

describe("Log", () => {
	const entry = (after: string, id: string) => ({ after, id, text: id });
	const log = new Log("5-e");
	log.push(entry("5-e", "7-g"));
	log.push(entry("7-g", "9-i"));

	test.each([
		["5-e", ["7-g", "9-i"]],
		["6-f", ["7-g", "9-i"]], // a bookmark of another connection
		["7-g", ["9-i"]],
		["9-i", []],
		["12-l", []], // further than the shared stream
	])("what follows %s", (position, expected) => {
		expect(log.since(position)?.map(({ id }) => id)).toEqual(expected);
	});

	test.each(["4-d", "7-z", "", "x"])("does not tell what follows %s", (position) => {
		expect(log.since(position)).toBeUndefined();
	});

	test("ids of another server are found as they are", () => {
		const log = new Log("");
		log.push(entry("", "x"));
		log.push(entry("x", "a"));
		expect(log.since("x")?.map(({ id }) => id)).toEqual(["a"]);
		expect(log.since("y")).toBeUndefined();
	});

	test("holds so many, and does not tell what followed those before", () => {
		const log = new Log("0-0");
		for (let n = 1; n <= 1_500; n++) {
			log.push(entry(`${n - 1}-0`, `${n}-0`));
		}
		expect(log.since("499-0")).toBeUndefined();
		expect(log.since("500-0")).toHaveLength(1_000);
		expect(log.position).toBe("1500-0");
	});
});

test("a block is written as it was decoded: spaces, empty lines, types, comments", () => {
	const text = "event: a b\ndata:   x\ndata\ndata: y\nid:  7\n\n:  c\n: d\ndata:\n\nid\n\n";
	const bytes = (text: string) => new TextEncoder().encode(text);
	const items = new BodyDecoder(() => {}).decode(bytes(text));
	const again = entriesOf(items, "").map((entry) => entry.text);
	expect(new BodyDecoder(() => {}).decode(bytes(again.join("")))).toEqual(items);
	expect(items).toHaveLength(5);
});

test.each([
	["now", "http://server/", {}],
	["last", "http://server/", { from: "last" }],
	["oldest", "http://server/?from=oldest", {}],
	["5m", "http://server/", { body: { from: "5m" } }],
	["5m", "http://server/", { body: '{"from":"5m"}' }],
	["7-a", "http://server/?last_event_id=7-a", { from: "last" }],
	["last", "http://server/", { body: () => "unknown" }],
])("a client without an id begins at %s: %s %j", (begin, url, options) => {
	expect(beginOf(url, options)).toBe(begin);
});

test("where there are no tabs it is a stream of its own", async () => {
	const server = await TestServer.start((response) => stream(response, "data: alone\nid: 1\n\n"));
	const shared = createSharedEventStream(server.url);
	for await (const event of shared) {
		expect(event.data).toBe("alone");
		break;
	}
	expect(await shared.done).toEqual({ reason: "closed" });
	expect(server.requests).toHaveLength(1);
});
