import { expect, test } from "vitest";
import { formatBytes, formatRate, formatSpan, formatTick, timeOfId } from "./units.ts";

test.each([
	[0, "0 B"],
	[999, "999 B"],
	[1023, "1023 B"],
	[1024, "1 KiB"],
	[1536, "1.5 KiB"],
	[1024 * 1024 - 1, "1 MiB"],
	[256 * 1024 * 1024, "256 MiB"],
	[5e15, "4547 TiB"],
])("%d bytes are %s", (bytes, text) => {
	expect(formatBytes(bytes)).toBe(text);
});

test.each([
	[0, "0"],
	[0.44, "0.4"],
	[12.34, "12.3"],
	[99.96, "100"],
	[20_480.6, "20,481"],
])("%d a second is %s", (rate, text) => {
	expect(formatRate(rate)).toBe(text);
});

test.each([
	[0, "0"],
	[0.25, "0.25"],
	[1500, "1.5k"],
	[20_000, "20k"],
	[2.5e6, "2.5M"],
])("an axis has %d as %s", (value, text) => {
	expect(formatTick(value)).toBe(text);
});

test.each([
	[0, "0 s"],
	[59.6, "1 min"],
	[725, "12 min 5 s"],
	[3605, "1 h"],
	[86_400, "1 d"],
	[100_000, "1 d 3 h"],
])("%d seconds are %s", (seconds, text) => {
	expect(formatSpan(seconds)).toBe(text);
});

test("an id tells when its event was stored", () => {
	const ms = Date.UTC(2026, 0, 2, 3, 4, 5);
	const stamp = (BigInt(ms) * 1_000_000n).toString(36);
	expect(timeOfId(`1042-${stamp}`)).toBeCloseTo(ms, 2);
	expect(timeOfId("1042")).toBeUndefined();
	expect(timeOfId("0-0")).toBeUndefined();
});
