import { expect, test } from "vitest";
import { Backlog, type Row, Tape } from "./tape.ts";

const row = (key: number, source = "x"): Row => ({ kind: "event", key, source });
const keys = (tape: Tape) =>
	Array.from({ length: tape.length }, (_, age) => tape.newest(age)?.key ?? -1);

test("the newest rows stay", () => {
	const tape = new Tape({ rows: 3, size: 100 });
	expect(tape.newest(0)).toBeUndefined();
	for (let key = 1; key <= 7; key++) {
		tape.push(row(key));
	}
	expect(keys(tape)).toEqual([7, 6, 5]);
	expect(tape.newest(3)).toBeUndefined();
});

test("large rows are fewer", () => {
	const tape = new Tape({ rows: 10, size: 100 });
	for (let key = 1; key <= 5; key++) {
		tape.push(row(key, "x".repeat(40)));
	}
	expect(keys(tape)).toEqual([5, 4]);
	tape.push(row(6, "x".repeat(1000)));
	expect(keys(tape)).toEqual([6]);
	tape.push(row(7));
	expect(keys(tape)).toEqual([7]);
});

test("a row is found by its key", () => {
	const tape = new Tape({ rows: 3, size: 100 });
	for (let key = 1; key <= 5; key++) {
		tape.push(row(key));
	}
	expect([tape.ageOf(5), tape.ageOf(3), tape.ageOf(2), tape.ageOf(6)]).toEqual([
		0,
		2,
		undefined,
		undefined,
	]);
});

test("a backlog is full at its limits, and loses nothing there", () => {
	const backlog = new Backlog({ rows: 3, size: 100 });
	for (let key = 1; key <= 3; key++) {
		expect(backlog.full).toBe(false);
		backlog.push(row(key));
	}
	expect(backlog.full).toBe(true);
	expect(backlog.take().map((r) => r.key)).toEqual([1, 2, 3]);
	expect([backlog.length, backlog.full]).toEqual([0, false]);
	backlog.push(row(4, "x".repeat(99)));
	expect(backlog.full).toBe(false);
	backlog.push(row(5, "x".repeat(99)));
	expect(backlog.full).toBe(true);
	expect(backlog.take().map((r) => r.key)).toEqual([4, 5]);
});

test("a cleared tape begins anew", () => {
	const tape = new Tape({ rows: 3, size: 100 });
	for (let key = 1; key <= 4; key++) {
		tape.push(row(key));
	}
	tape.clear();
	expect(keys(tape)).toEqual([]);
	tape.push(row(9));
	expect(keys(tape)).toEqual([9]);
});
