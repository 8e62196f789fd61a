import { expect, test } from "vitest";
import { problemDetail } from "./problem.ts";

test.each([
	[{ title: "Bad Request", detail: "subject lies outside" }, "subject lies outside"],
	[{ title: "Bad Request" }, "Bad Request"],
	[{ title: "Bad Request", detail: "" }, "Bad Request"],
	[{ detail: 7 }, undefined],
	["text", undefined],
	[null, undefined],
	[undefined, undefined],
])("%j says %s", (body, detail) => {
	expect(problemDetail(body)).toBe(detail);
});
