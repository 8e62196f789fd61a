import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ringcast } from "../../testing/ringcast.ts";
import { Publisher } from "../src/publisher.ts";

let ringcast: Ringcast;
let nc: NatsConnection;

beforeAll(async () => {
	ringcast = await Ringcast.serve();
	const status = await fetch(`${ringcast.url}/v1/status`);
	nc = await connect({ servers: ((await status.json()) as { nats: { url: string } }).nats.url });
});

afterAll(async () => {
	await nc.close();
	await ringcast.stop();
});

// A server that is alone finds first that the newest event, which is this very one, is not
// the one expected.
test("an event whose acknowledgement was lost is stored once, and one after an end not at all", async () => {
	const js = jetstream(nc);
	const subject = "events.answers.published.again";
	const lossy = {
		async publish(...args: Parameters<JetStreamClient["publish"]>) {
			const ack = await js.publish(...args);
			if (!ack.duplicate) {
				throw new Error("the acknowledgement was lost");
			}
			return ack;
		},
	} as JetStreamClient;
	const publisher = new Publisher(nc, lossy, subject, 0, headers(), 10_000);
	for (const data of ["a", "b", "c"]) {
		await publisher.publish({ type: "add", data, last: false });
	}
	await js.publish(subject, "the end");
	await expect(publisher.publish({ type: "add", data: "d", last: false })).rejects.toMatchObject({
		code: "ended",
	});
	const manager = await jetstreamManager(nc);
	const { state } = await manager.streams.info("EVENTS", { subjects_filter: subject });
	expect(state.subjects).toEqual({ [subject]: 4 });
});
