import { expect, test } from "vitest";
import { Harness, message } from "./rig.ts";

const harness = new Harness();
const SOON = { initialDelayMs: 0 };

// The harness's "reconnection".

test("restart: at once, after the last id, and no error", async () => {
	const follower = await harness.follow(SOON);
	const first = await follower.connected();
	await first.send("id: 1\ndata: Hello\n\n");
	await follower.reported(message("Hello", "1"));
	await follower.command({ command: "restart" });
	const again = await follower.connected();
	await first.closed;
	expect(again.header("last-event-id")).toBe("1");
	await again.send("data: Thanks\n\n");
	await follower.reported(message("Thanks", "1"));
});

test("restart of a client that waits", async () => {
	const follower = await harness.follow({ initialDelayMs: 2 ** 31 - 1 });
	(await follower.connected()).cut();
	await follower.failed();
	await follower.command({ command: "restart" });
	await follower.connected();
});

test("the last id", async () => {
	const follower = await harness.follow(SOON);
	const stream = await follower.connected();
	expect(stream.header("last-event-id")).toBeUndefined();
	await stream.send("id: abc\ndata: Hello\n\n");
	await follower.reported(message("Hello", "abc"));
	stream.cut();
	expect((await follower.connected()).header("last-event-id")).toBe("abc");
});

test("the last id of an earlier event", async () => {
	const follower = await harness.follow(SOON);
	const stream = await follower.connected();
	await stream.send("id: abc\ndata: Hello\n\n", "data: World\n\n");
	await follower.reported(message("Hello", "abc"), message("World", "abc"));
	stream.cut();
	expect((await follower.connected()).header("last-event-id")).toBe("abc");
});

test("an id taken back", async () => {
	const follower = await harness.follow(SOON);
	const stream = await follower.connected();
	await stream.send("id: abc\ndata: Hello\n\n", "id: \ndata: World\n\n");
	await follower.reported(message("Hello", "abc"), message("World"));
	stream.cut();
	expect((await follower.connected()).header("last-event-id")).toBeUndefined();
});

test("the body again", async () => {
	const body = '{"hello": "world"}';
	const follower = await harness.follow({ ...SOON, method: "POST", body });
	(await follower.connected()).cut();
	const again = await follower.connected();
	expect(again.method).toBe("POST");
	expect(again.body).toBe(body);
});

test("the read timeout", async () => {
	const follower = await harness.follow({ ...SOON, readTimeoutMs: 200 });
	await (await follower.connected()).send("data: Hello\n\n");
	await follower.reported(message("Hello"));
	expect(await follower.failed()).toContain("within 200 ms");
	await follower.connected();
});

test("a message cut in the middle", async () => {
	const follower = await harness.follow(SOON);
	const stream = await follower.connected();
	await stream.send("id: abc\ndata: Hello\n\nid: def\ndata: Goodbye");
	await follower.reported(message("Hello", "abc"));
	stream.cut();
	await follower.failed();
	const again = await follower.connected();
	expect(again.header("last-event-id")).toBe("abc");
	await again.send("data: We meet again\n\n");
	await follower.reported(message("We meet again", "abc"));
});

test("the new connection works", async () => {
	const follower = await harness.follow(SOON);
	const stream = await follower.connected();
	await stream.send("id: abc\ndata: Hello\n\n");
	await follower.reported(message("Hello", "abc"));
	stream.cut();
	await follower.failed();
	await (await follower.connected()).send("id: def\ndata: World\n\n");
	await follower.reported(message("World", "def"));
});
