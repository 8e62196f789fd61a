import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Backoff, retryAfterMs } from "../src/backoff.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

test("full jitter: anything up to the doubled base, up to the most", () => {
	const backoff = new Backoff({ baseMs: 100, maxMs: 300 });
	const random = vi.spyOn(Math, "random").mockReturnValue(1);
	const delays = [1, 2, 3].map(() => {
		backoff.ended();
		return backoff.delayMs(0);
	});
	expect(delays).toEqual([100, 200, 300]);
	random.mockReturnValue(0);
	expect(backoff.delayMs(0)).toBe(0);
	expect(backoff.delayMs(250)).toBe(250);
});

test("retry: takes the base's place, also above the most", () => {
	const backoff = new Backoff({ baseMs: 100, maxMs: 300, jitter: false });
	backoff.rebase(5_000);
	backoff.ended();
	expect(backoff.delayMs(0)).toBe(5_000);
});

test("only a stable stream resets", () => {
	const backoff = new Backoff({ baseMs: 100, jitter: false });
	for (const delay of [100, 200, 400]) {
		backoff.opened();
		vi.advanceTimersByTime(4_999);
		backoff.ended();
		expect(backoff.delayMs(0)).toBe(delay);
	}
	backoff.opened();
	vi.advanceTimersByTime(5_000);
	backoff.ended();
	expect(backoff.delayMs(0)).toBe(100);
});

test("five attempts before the first answer, any number after", () => {
	const backoff = new Backoff({});
	for (let i = 0; i < 5; i++) {
		expect(backoff.exhausted).toBe(false);
		backoff.ended();
	}
	expect(backoff.exhausted).toBe(true);
	backoff.opened();
	expect(backoff.exhausted).toBe(false);
});

test("Retry-After in seconds, as a date, and unreadable", () => {
	const read = (value: string) => retryAfterMs(new Headers({ "Retry-After": value }));
	expect(read("3")).toBe(3_000);
	expect(read("Thu, 01 Jan 1970 00:00:09 GMT")).toBe(9_000);
	expect(read("soon")).toBe(0);
});
