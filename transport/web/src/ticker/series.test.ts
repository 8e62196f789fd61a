import { expect, test } from "vitest";
import { Series } from "./series.ts";

function seriesOf(...points: [number, number][]): [number, number][] {
	const series = new Series(10_000, 100);
	for (const [time, price] of points) {
		series.add({ time, price });
	}
	return series.all().map((p) => [p.time, p.price]);
}

test("points are kept in the order of time, whichever came first", () => {
	expect(seriesOf([3000, 3], [1000, 1], [2000, 2])).toEqual([
		[1000, 1],
		[2000, 2],
		[3000, 3],
	]);
});

test("of points closer together than 100 ms the newest is kept", () => {
	expect(seriesOf([1000, 1], [1099, 2], [1050, 3], [1100, 4])).toEqual([
		[1099, 2],
		[1100, 4],
	]);
});

test("one point before the window is kept, for the line to enter from the edge", () => {
	expect(seriesOf([1000, 1], [2000, 2], [12_500, 3])).toEqual([
		[2000, 2],
		[12_500, 3],
	]);
});

test("its size does not depend on the rate of events", () => {
	const series = new Series(10_000, 100);
	for (let time = 0; time < 60_000; time++) {
		series.add({ time, price: time });
	}
	expect(series.all().length).toBeLessThanOrEqual(102);
});
