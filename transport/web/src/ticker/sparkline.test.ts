import { expect, test } from "vitest";
import { WINDOW_MS } from "./quotes.ts";
import { sparkline } from "./sparkline.ts";

test("the window fills the box, the newest at the right, the dearest at the top", () => {
	const points = [
		{ time: 0, price: 10 },
		{ time: WINDOW_MS / 2, price: 30 },
		{ time: WINDOW_MS, price: 20 },
	];
	expect(sparkline(points)).toBe("0.0,22.0 40.0,2.0 80.0,12.0");
});

test("a price that stands still is a line, and none is nothing", () => {
	expect(sparkline([{ time: 0, price: 5 }])).toBe("80.0,22.0");
	expect(sparkline([])).toBe("");
});
