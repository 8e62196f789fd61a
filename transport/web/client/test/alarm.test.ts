import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Alarm } from "../src/alarm.ts";

const HOUR = 3_600_000;

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

/** The clock goes on and the timers do not, as when a machine sleeps. */
function sleep(ms: number): void {
	vi.setSystemTime(Date.now() + ms);
}

test("a limit rings when it was not fed", () => {
	const ring = vi.fn();
	const alarm = new Alarm();
	alarm.limit(45_000, ring);
	vi.advanceTimersByTime(44_999);
	alarm.feed();
	vi.advanceTimersByTime(44_999);
	expect(ring).not.toHaveBeenCalled();
	vi.advanceTimersByTime(1);
	expect(ring).toHaveBeenCalledTimes(1);
	vi.advanceTimersByTime(HOUR);
	expect(ring).toHaveBeenCalledTimes(1);
});

test("0 is no limit, and one that was stopped does not ring until it is fed", () => {
	const ring = vi.fn();
	const alarm = new Alarm();
	alarm.limit(0, ring);
	vi.advanceTimersByTime(HOUR);
	alarm.limit(1_000, ring);
	alarm.stop();
	vi.advanceTimersByTime(HOUR);
	expect(ring).not.toHaveBeenCalled();
	alarm.feed();
	vi.advanceTimersByTime(1_000);
	expect(ring).toHaveBeenCalledTimes(1);
});

test("after a sleep a limit grants a second, in which a byte may come", () => {
	const ring = vi.fn();
	const alarm = new Alarm();
	alarm.limit(45_000, ring);
	sleep(HOUR);
	vi.advanceTimersByTime(5_000); // the next look at the clock
	vi.advanceTimersByTime(999);
	expect(ring).not.toHaveBeenCalled();
	alarm.feed();
	vi.advanceTimersByTime(44_999);
	expect(ring).not.toHaveBeenCalled();

	sleep(HOUR);
	vi.advanceTimersByTime(5_000);
	vi.advanceTimersByTime(1_000);
	expect(ring).toHaveBeenCalledTimes(1);
});

test("a hidden tab's timers that are always late do not put a limit off for ever", () => {
	const ring = vi.fn();
	new Alarm().limit(45_000, ring);
	for (let minute = 0; minute < 3; minute++) {
		sleep(60_000);
		vi.advanceTimersToNextTimer();
	}
	expect(ring).toHaveBeenCalledTimes(1);
});

test("a clock that was put back does not make it wait for as long", () => {
	const ring = vi.fn();
	vi.setSystemTime(2 * HOUR);
	new Alarm().limit(45_000, ring);
	sleep(-HOUR);
	vi.advanceTimersByTime(50_000);
	expect(ring).toHaveBeenCalledTimes(1);
});

test.each(["a sleep", "wake()"])("%s ends a wait within a second", (how) => {
	vi.spyOn(Math, "random").mockReturnValue(0.5);
	const ring = vi.fn();
	const alarm = new Alarm();
	alarm.wait(2 * HOUR, 0, ring);
	vi.advanceTimersByTime(2_500);
	if (how === "wake()") {
		alarm.wake();
	} else {
		sleep(HOUR);
		vi.advanceTimersByTime(2_500);
	}
	vi.advanceTimersByTime(499);
	expect(ring).not.toHaveBeenCalled();
	vi.advanceTimersByTime(1);
	expect(ring).toHaveBeenCalledTimes(1);
});

test("waking does not end a wait before its floor", () => {
	const ring = vi.fn();
	const alarm = new Alarm();
	alarm.wait(HOUR, 60_000, ring);
	alarm.wake();
	vi.advanceTimersByTime(59_999);
	expect(ring).not.toHaveBeenCalled();
	vi.advanceTimersByTime(1);
	expect(ring).toHaveBeenCalledTimes(1);
});
