import { expect, onTestFinished, test } from "vitest";
import { Ringcast } from "../../testing/ringcast.ts";
import { createEventStream } from "../src/index.ts";

test.each(["GET", "POST"])(
	"%s: a gateway killed and started again: nothing missing, nothing twice",
	async (method) => {
		const ringcast = await Ringcast.serve();
		onTestFinished(() => ringcast.stop());
		const subject = "events.client.x";
		const seen: [id: string, data: string][] = [];
		let lost = () => {};
		const retried = new Promise<void>((resolve) => {
			lost = resolve;
		});
		const opened: string[] = [];
		const stream = createEventStream(`${ringcast.url}/v1/stream`, {
			method,
			subjects: subject,
			from: "oldest",
			retry: { baseMs: 100 },
			onopen: () => opened.push("open"),
			onmessage: (e) => seen.push([e.lastEventId, e.data]),
			onretry: () => lost(),
		});
		onTestFinished(() => stream.close());
		const published: [id: string, data: string][] = [];
		const publish = async (data: string) => {
			published.push([await ringcast.publish(subject, data), data]);
		};
		await publish(" before");
		await publish("before\n");
		await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(2);

		await ringcast.kill();
		await retried;
		await ringcast.start();
		await publish("while away, or not yet back");
		await expect.poll(() => opened.length, { timeout: 20_000 }).toBe(2);
		await publish("after");
		await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(4);
		expect(seen).toEqual(published);
	},
);

test("a subject that has ended finishes the stream", async () => {
	const ringcast = await Ringcast.serve();
	onTestFinished(() => ringcast.stop());
	const answer = await fetch(`${ringcast.url}/v1/publish/events.client.end`, {
		method: "POST",
		body: "bye",
		headers: { "Ringcast-End": "true" },
	});
	expect(answer.status).toBe(200);
	const seen: string[] = [];
	const stream = createEventStream(`${ringcast.url}/v1/stream`, {
		subjects: "events.client.end",
		from: "oldest",
		retry: { baseMs: 10 },
		onmessage: (e) => seen.push(e.data),
	});
	onTestFinished(() => stream.close());
	expect(await stream.done).toEqual({ reason: "finished" });
	expect(seen).toEqual(["bye"]);
});
