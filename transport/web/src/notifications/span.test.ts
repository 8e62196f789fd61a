import { expect, test } from "vitest";
import { MAX_SPAN, SpanCheck } from "./span.ts";

const id = (n: number) => `${n}-stamp`;
const ids = (from: number, to: number) =>
	Array.from({ length: to - from + 1 }, (_, i) => id(from + i));

/** A check after event 10, to which the stream has delivered these. */
function checkOf(delivered: readonly string[]): SpanCheck {
	const check = new SpanCheck(id(10));
	for (const d of delivered) {
		check.deliver(d);
	}
	return check;
}

test("everything that the log holds has come", () => {
	const check = checkOf(ids(11, 47));
	check.expect(ids(11, 47));
	expect(check.result()).toEqual({
		done: true,
		published: 37,
		received: 37,
		missing: 0,
		twice: 0,
		gaps: 0,
	});
});

test("it is not done before the log has been read", () => {
	expect(checkOf(ids(11, 47)).result()).toMatchObject({ done: false, missing: 0 });
});

test("what is still on its way is not missing", () => {
	const check = checkOf(ids(11, 20));
	check.expect(ids(11, 47));
	expect(check.result()).toMatchObject({ done: false, published: 37, received: 10, missing: 0 });
});

test("what the stream has passed over is missing", () => {
	const check = checkOf([id(11), id(14), id(15)]);
	check.expect(ids(11, 15));
	expect(check.result()).toMatchObject({ done: true, received: 3, missing: 2 });
});

test("the last one is missing once the stream is past it", () => {
	const check = checkOf(ids(11, 14));
	check.expect(ids(11, 15));
	expect(check.result()).toMatchObject({ done: false, missing: 0 });
	check.deliver(id(16));
	expect(check.result()).toMatchObject({ done: true, missing: 1 });
});

test("the same sequence with another stamp is another event", () => {
	const check = checkOf(["11-other", id(12)]);
	check.expect(ids(11, 12));
	expect(check.result()).toMatchObject({ done: true, received: 1, missing: 1 });
});

test("what came twice is told", () => {
	const check = checkOf([id(11), id(12), id(12)]);
	check.expect(ids(11, 12));
	expect(check.result()).toMatchObject({ done: true, received: 2, twice: 1 });
});

test("live events beyond the span do not count", () => {
	const check = checkOf(ids(11, 60));
	check.expect(ids(11, 47));
	expect(check.result()).toMatchObject({ done: true, published: 37, received: 37 });
});

test("nothing was published meanwhile", () => {
	const check = checkOf([]);
	check.expect([]);
	expect(check.result()).toMatchObject({ done: true, published: 0, missing: 0 });
});

test("after a gap ids may begin anew", () => {
	const check = checkOf([]);
	check.gap();
	check.deliver(id(1));
	check.expect(ids(1, 2));
	expect(check.result()).toMatchObject({ done: false, missing: 0, gaps: 1 });
	check.deliver(id(2));
	expect(check.result()).toMatchObject({ done: true, received: 2, gaps: 1 });
});

test("a span longer than its bound is compared as far as the bound", () => {
	const all = ids(11, MAX_SPAN + 500);
	const check = checkOf(all);
	check.expect(all);
	expect(check.result()).toMatchObject({ done: true, published: MAX_SPAN, missing: 0 });
});
