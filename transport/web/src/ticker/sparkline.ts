import { WINDOW_MS } from "./quotes.ts";
import type { Point } from "./series.ts";

const WIDTH = 80;
const HEIGHT = 24;
const AIR = 2;

/** A series as the points of an SVG polyline in a box of 80 by 24, the newest at its right. */
export function sparkline(points: readonly Point[]): string {
	const newest = points.at(-1);
	if (newest === undefined) {
		return "";
	}
	const prices = points.map((p) => p.price);
	const low = Math.min(...prices);
	const span = Math.max(...prices) - low || 1;
	return points
		.map((p) => {
			const x = WIDTH * (1 - (newest.time - p.time) / WINDOW_MS);
			const y = HEIGHT - AIR - ((p.price - low) / span) * (HEIGHT - 2 * AIR);
			return `${Math.max(0, x).toFixed(1)},${y.toFixed(1)}`;
		})
		.join(" ");
}
