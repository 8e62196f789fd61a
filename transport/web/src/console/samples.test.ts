import { expect, test } from "vitest";
import type { Sample } from "./rates.ts";
import { Samples, SPAN_MS } from "./samples.ts";

const sample = (time: number, eventsIn: number | null): Sample => ({
	time,
	eventsIn,
	bytesIn: null,
	deliveries: null,
	bytesOut: null,
	streams: 2,
	eventsFill: 1,
	bytesFill: 1,
});

test("what is older than five minutes goes", () => {
	const samples = new Samples();
	for (let s = 0; s <= 400; s++) {
		samples.add(sample(s * 1000, s));
	}
	const [times, values] = samples.columns(["eventsIn"]);
	expect(times.length).toBe(SPAN_MS / 1000 + 1);
	expect([times[0], times.at(-1)]).toEqual([100, 400]);
	expect(values?.[0]).toBe(100);
	expect(samples.newest?.eventsIn).toBe(400);
});

test("a line breaks where nobody looked", () => {
	const samples = new Samples();
	samples.add(sample(1_000, 5));
	samples.add(sample(2_000, null));
	samples.add(sample(60_000, 7));
	expect(samples.columns(["eventsIn", "streams"])).toEqual([
		[1, 2, 2.001, 60],
		[5, null, null, 7],
		[2, 2, null, 2],
	]);
});

test("a clock that is set back begins anew", () => {
	const samples = new Samples();
	samples.add(sample(90_000, 1));
	samples.add(sample(10_000, 2));
	expect(samples.columns(["eventsIn"])).toEqual([[10], [2]]);
});
