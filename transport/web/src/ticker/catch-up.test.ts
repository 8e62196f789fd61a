import { expect, test } from "vitest";
import { CatchUp } from "./catch-up.ts";

test("what came at once is told from what came live by where the log stood", () => {
	const catchUp = new CatchUp("100-a");
	catchUp.deliver("ACME", "480-b");
	catchUp.deliver("BOLT", "500-c");
	expect(catchUp.isLive("501-d")).toBe(false); // not known yet
	catchUp.expect("500-c");
	catchUp.deliver("CRUX", "501-d");
	catchUp.deliver("ACME", "502-e");
	expect(catchUp.isLive("500-c")).toBe(false);
	expect(catchUp.isLive("501-d")).toBe(true);
	expect(catchUp.published).toBe(400);
	expect(catchUp.symbols).toBe(2);
});

test("a new stream has not missed anything", () => {
	const catchUp = new CatchUp(undefined);
	catchUp.expect("500-c");
	expect(catchUp.published).toBeUndefined();
});
