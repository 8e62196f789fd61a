import { expect, test } from "vitest";
import { Rates } from "./rates.ts";
import type { Counters, Status } from "./status.ts";

const STARTED = "2026-01-02T03:00:00.000000001Z";

function status(time: string, counters: Partial<Counters>, started = STARTED): Status {
	return {
		time,
		started,
		version: "v",
		stream: "S",
		subjects: ["events.>"],
		head_id: "0-0",
		streams: 3,
		ring: {
			oldest: null,
			newest: null,
			events: 250,
			bytes: 10,
			file_bytes: 0,
			max_events: 1000,
			max_bytes: 100,
			max_age_seconds: 60,
		},
		nats: { connected: true, url: "", lag: 0, caught_up: true },
		counters: {
			events: 0,
			event_bytes: 0,
			deliveries: 0,
			delivery_bytes: 0,
			streams: 0,
			resumes: 0,
			gaps: { expired: 0, reset: 0, unknown: 0 },
			...counters,
		},
	};
}

test("rates are by the gateway's time, whatever this page's is", () => {
	const rates = new Rates();
	const first = rates.sample(status("2026-01-02T03:00:01Z", { events: 10 }), 5);
	expect(first).toMatchObject({ time: 5, eventsIn: null, deliveries: null, streams: 3 });
	expect(first).toMatchObject({ eventsFill: 25, bytesFill: 10 });
	const counters = { events: 30, event_bytes: 500, deliveries: 4000, delivery_bytes: 9000 };
	expect(rates.sample(status("2026-01-02T03:00:03.5Z", counters), 6)).toMatchObject({
		eventsIn: 8,
		bytesIn: 200,
		deliveries: 1600,
		bytesOut: 3600,
	});
});

test("a restart is no negative rate, and no peak either", () => {
	const rates = new Rates();
	rates.sample(status("2026-01-02T03:00:01Z", { events: 10, deliveries: 10 }), 1);
	const again = status("2026-01-02T03:00:02Z", { events: 90 }, "2026-01-02T03:00:01.5Z");
	expect(rates.sample(again, 2)).toMatchObject({ eventsIn: null, deliveries: null });
	const next = status("2026-01-02T03:00:03Z", { events: 95 }, "2026-01-02T03:00:01.5Z");
	expect(rates.sample(next, 3)).toMatchObject({ eventsIn: 5, deliveries: 0 });
});

test("a counter that goes back has no rate; the others have", () => {
	const rates = new Rates();
	rates.sample(status("2026-01-02T03:00:01Z", { events: 10, deliveries: 10 }), 1);
	const back = status("2026-01-02T03:00:02Z", { events: 9, deliveries: 12 });
	expect(rates.sample(back, 2)).toMatchObject({ eventsIn: null, deliveries: 2 });
});

test("the same reading twice has no rate", () => {
	const rates = new Rates();
	rates.sample(status("2026-01-02T03:00:01Z", {}), 1);
	expect(rates.sample(status("2026-01-02T03:00:01Z", {}), 2)).toMatchObject({ eventsIn: null });
});
