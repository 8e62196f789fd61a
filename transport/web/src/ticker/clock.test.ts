import { expect, test } from "vitest";
import { EventClock } from "./clock.ts";

test("it goes on from the newest event, whatever the reader's clock says", () => {
	let elapsed = 500;
	const clock = new EventClock(() => elapsed);
	expect(clock.now()).toBeUndefined();
	clock.observe(1_000_000);
	elapsed += 250;
	expect(clock.now()).toBe(1_000_250);
	clock.observe(999_000); // caught up on, late
	expect(clock.now()).toBe(1_000_250);
});
