import { expect, test } from "vitest";
import { compareIds, eventsBetween, storedAt } from "./ids.ts";

test.each([
	["9-z", "10-a", -1],
	["10-a", "9-z", 1],
	["10-a", "10-b", 0],
	["10", "10-b", 0],
	["0-0", "1-0", -1],
	["18446744073709551614-a", "18446744073709551615-a", -1],
	["9007199254740993", "9007199254740992", 1],
])("%s is ordered against %s by its sequence alone", (a, b, order) => {
	expect(Math.sign(compareIds(a, b))).toBe(order);
});

test("sequences tell how many events are between two ids", () => {
	expect(eventsBetween("17-a", "20-b")).toBe(3);
	expect(eventsBetween("20-b", "17-a")).toBe(-3);
	expect(eventsBetween("18446744073709551600-a", "18446744073709551615-b")).toBe(15);
});

test("the stamp tells when an event was stored", () => {
	const stamp = 1_800_000_000_123_456_789n.toString(36);
	expect(storedAt(`1042-${stamp}`)).toBeCloseTo(1_800_000_000_123.457, 2);
	expect(storedAt("1042")).toBeNaN();
});
