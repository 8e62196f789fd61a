import { expect, test } from "vitest";
import { compareIds } from "./ids.ts";

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
