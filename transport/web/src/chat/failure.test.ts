import { expect, test } from "vitest";
import { canGoOn, failureText } from "./failure.ts";

test("what is known is said in the page's words, what a worker says in its own", () => {
	expect(failureText({ reason: "no_worker", detail: "x" })).toMatch(/^No worker listens/);
	expect(failureText({ reason: "refused", detail: "too long" })).toBe("Refused: too long");
	expect(failureText({ reason: "refused", detail: "" })).toBe("Refused: without a reason");
	expect(failureText({ reason: "quota", detail: "try later" })).toBe(
		"The worker ran into an error (quota): try later",
	);
	expect(failureText({ reason: "quota", detail: "" })).toBe("The worker ran into an error (quota)");
});

test("what is not the question's fault can go on", () => {
	const reasons = ["unauthorized", "network", "no_worker", "worker_gone"];
	expect(reasons.filter((reason) => canGoOn({ reason, detail: "" }))).toEqual([
		"unauthorized",
		"network",
	]);
});
