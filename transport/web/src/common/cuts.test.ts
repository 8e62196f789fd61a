import { expect, test } from "vitest";
import { Cuts, MAX_CUTS } from "./cuts.ts";
import type { LinkState } from "./link.ts";

/** The cuts that these states tell of, one every 10 ms. */
function cutsOf(...states: LinkState[]) {
	let now = 0;
	const cuts = new Cuts(() => now);
	for (const state of states) {
		now += 10;
		cuts.note(state);
	}
	return cuts.all();
}

test("a cut lasts until the connection is there again", () => {
	expect(cutsOf("connecting", "live", "dropped", "connecting", "live")).toEqual([
		{ by: "you", start: 30, end: 50 },
	]);
	expect(cutsOf("connecting", "live", "retrying")).toEqual([
		{ by: "network", start: 30, end: undefined },
	]);
});

test("what has never been connected is not cut off", () => {
	expect(cutsOf("connecting", "retrying", "dropped", "connecting", "live")).toEqual([]);
});

test("a drop by the user while the network is away is the same cut", () => {
	expect(cutsOf("live", "retrying", "dropped", "connecting", "retrying", "live")).toEqual([
		{ by: "network", start: 20, end: 60 },
	]);
});

test("a cut that the gateway does not end is its own", () => {
	expect(cutsOf("live", "retrying", "refused", "connecting", "live")).toEqual([
		{ by: "gateway", start: 20, end: 50 },
	]);
});

test("a bounded number is kept", () => {
	const states = Array.from({ length: 3 * MAX_CUTS }, (): LinkState[] => ["live", "dropped"]);
	expect(cutsOf(...states.flat())).toHaveLength(MAX_CUTS);
});
