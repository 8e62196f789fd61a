import { expect, test } from "vitest";
import { Meter } from "./meter.ts";

/** The id of an event stored at this time, in milliseconds. */
const id = (sequence: number, storedAt: number) =>
	`${sequence}-${(BigInt(storedAt) * 1_000_000n).toString(36)}`;

/** A meter on a clock that is an hour fast, and the time that the events have. */
function trial() {
	const clock = { now: 1_800_000_000_000 };
	return { clock, meter: new Meter(() => clock.now + 3_600_000) };
}

test("rates are those of the time since the last reading", () => {
	const { clock, meter } = trial();
	meter.read("1000-a");
	for (let i = 0; i < 50; i++) {
		meter.note(id(1001 + i, clock.now), true);
	}
	clock.now += 2_000;
	expect(meter.read("5000-b")).toMatchObject({ received: 25, published: 2000 });
	clock.now += 1_000;
	expect(meter.read("5000-b")).toMatchObject({ received: 0, published: 0 });
});

test("without an id before there is nothing to count from, nor after the log began anew", () => {
	const { clock, meter } = trial();
	clock.now += 1_000;
	expect(meter.read(undefined).published).toBeUndefined();
	clock.now += 1_000;
	expect(meter.read("7-a").published).toBeUndefined();
	clock.now += 1_000;
	expect(meter.read("3-b").published).toBeUndefined();
});

test("the lag is what an event took longer than the quickest, whatever the clock says", () => {
	const { clock, meter } = trial();
	meter.note(id(1, clock.now - 20), true);
	meter.note(id(2, clock.now - 50), true);
	meter.note(id(3, clock.now - 320), true);
	clock.now += 1_000;
	const { medianLag, worstLag } = meter.read("3-a");
	expect(medianLag).toBeCloseTo(30, 0);
	expect(worstLag).toBeCloseTo(300, 0);
});

test("what was history when the stream opened has no lag", () => {
	const { clock, meter } = trial();
	meter.note(id(1, clock.now - 60_000), false);
	clock.now += 1_000;
	expect(meter.read("1-a")).toMatchObject({ received: 1, medianLag: undefined });
});

test("an id without a stamp counts, without a lag", () => {
	const { clock, meter } = trial();
	meter.note("17", true);
	clock.now += 1_000;
	expect(meter.read("17")).toMatchObject({ received: 1, worstLag: undefined });
});

test("the quickest event counts for five minutes: clocks drift apart", () => {
	const { clock, meter } = trial();
	meter.note(id(1, clock.now - 20), true);
	for (let minute = 0; minute < 6; minute++) {
		clock.now += 60_000;
		meter.read("1-a");
		meter.note(id(2, clock.now - 220), true);
	}
	expect(meter.read("2-a").worstLag).toBeCloseTo(200, 0);
	for (let span = 0; span < 10; span++) {
		clock.now += 30_000;
		meter.note(id(3, clock.now - 220), true);
	}
	meter.read("3-a");
	meter.note(id(4, clock.now - 220), true);
	expect(meter.read("4-a").worstLag).toBeCloseTo(0, 0);
});
