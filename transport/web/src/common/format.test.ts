import { expect, test } from "vitest";
import { formatChange, formatWhen } from "./format.ts";

test("a change is told by its sign, so that colour is not all that tells it", () => {
	expect([1.234, -0.5, 0].map(formatChange)).toEqual(["▲ +1.23 %", "▼ −0.50 %", "0.00 %"]);
});

test("a time of another day has its day", () => {
	const noon = new Date(2026, 4, 7, 12, 0, 0).getTime();
	expect(formatWhen(noon, noon + 3_600_000)).toBe("12:00:00");
	expect(formatWhen(noon, noon + 24 * 3_600_000)).toMatch(/^7 May, 12:00$/);
});
