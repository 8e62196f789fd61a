import uPlot from "uplot";
import type { Cuts } from "../common/cuts.ts";
import { byId, setText } from "../common/dom.ts";
import { directionOf, formatChange, formatPrice, formatTime } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import type { EventClock } from "./clock.ts";
import { type Quote, WINDOW_MS } from "./quotes.ts";
import { Series } from "./series.ts";

const FONT = "12px system-ui, sans-serif";
const PRICE_AXIS_WIDTH = 64;
const TIME_AXIS_HEIGHT = 32;
/** The least distance between two labels of an axis, in CSS pixels. */
const TIME_LABEL_SPACE = 84;
const PRICE_LABEL_SPACE = 40;
/** Points closer together than this are one. */
const BUCKET_MS = 100;

/** The price of one symbol within the window, with the times of cuts shaded. */
export class ChartView implements View {
	private readonly plot = byId("plot", HTMLElement);
	private readonly title = byId("chart-title", HTMLElement);
	private readonly price = byId("chart-price", HTMLElement);
	private readonly change = byId("chart-change", HTMLElement);
	private readonly readout = byId("chart-readout", HTMLElement);
	private chart: uPlot | undefined;
	private symbol: string | undefined;
	private series = new Series(WINDOW_MS, BUCKET_MS);
	private newest: Quote | undefined;

	/** @param onResize is told when the chart has to be drawn anew */
	constructor(
		private readonly clock: EventClock,
		private readonly cuts: Cuts,
		onResize: () => void,
	) {
		// A canvas knows no style sheet: colours are read when it is made.
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
			this.chart?.destroy();
			this.chart = undefined;
			onResize();
		});
		new ResizeObserver(() => {
			this.chart?.setSize(this.size());
			onResize();
		}).observe(this.plot);
	}

	/** The symbol shown. */
	get shown(): string | undefined {
		return this.symbol;
	}

	select(symbol: string): void {
		this.symbol = symbol;
		this.series = new Series(WINDOW_MS, BUCKET_MS);
		this.newest = undefined;
	}

	/** Takes a quote of the symbol shown from the stream. */
	update(quote: Quote): void {
		this.newest = quote;
		this.series.add(quote);
	}

	/** Takes a quote from the log: it is a point only. */
	backfill(quote: Quote): void {
		this.series.add(quote);
	}

	render(): void {
		if (this.symbol === undefined) {
			return;
		}
		byId("chart-empty", HTMLElement).hidden = true;
		setText(this.title, this.symbol);
		if (this.newest !== undefined) {
			setText(this.price, formatPrice(this.newest.price));
			setText(this.change, formatChange(this.newest.change));
			this.change.dataset["direction"] = directionOf(this.newest.change);
		}
		const points = this.series.all();
		const times = points.map((p) => p.time / 1000);
		const prices = points.map((p) => p.price);
		this.chart ??= new uPlot(this.options(), [[], []], this.plot);
		this.chart.setData([times, prices]);
	}

	private size(): { width: number; height: number } {
		return { width: this.plot.clientWidth, height: this.plot.clientHeight };
	}

	private options(): uPlot.Options {
		const style = getComputedStyle(document.documentElement);
		const colour = (name: string) => style.getPropertyValue(name).trim();
		const axis = {
			stroke: colour("--muted"),
			font: FONT,
			grid: { stroke: colour("--line"), width: 1 },
			ticks: { show: false },
		};
		return {
			...this.size(),
			legend: { show: false },
			padding: [8, 30, 0, 0],
			cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
			scales: {
				x: { range: () => this.timeRange() },
				y: { range: (_, low, high) => priceRange(low, high) },
			},
			axes: [
				{
					...axis,
					size: TIME_AXIS_HEIGHT,
					space: TIME_LABEL_SPACE,
					values: (_, at) => at.map((s) => formatTime(s * 1000)),
				},
				{
					...axis,
					size: PRICE_AXIS_WIDTH,
					space: PRICE_LABEL_SPACE,
					values: (_, at) => at.map(formatPrice),
				},
			],
			series: [
				{},
				{
					stroke: colour("--accent"),
					width: 2,
					fill: (u) => fade(u, colour("--accent")),
					points: { show: false },
				},
			],
			hooks: {
				drawClear: [(u) => this.shadeCuts(u, colour("--outage"), colour("--outage-edge"))],
				setCursor: [(u) => this.showCursor(u)],
			},
		};
	}

	/** The window up to now, in seconds, whether or not there are points in it. */
	private timeRange(): [number, number] {
		const now = this.clock.now() ?? Date.now();
		return [(now - WINDOW_MS) / 1000, now / 1000];
	}

	private shadeCuts(u: uPlot, fill: string, edge: string): void {
		const { left, top, width, height } = u.bbox;
		const within = (ms: number) =>
			Math.min(Math.max(u.valToPos(ms / 1000, "x", true), left), left + width);
		u.ctx.save();
		for (const cut of this.cuts.all()) {
			const from = within(this.clock.at(cut.start) ?? 0);
			const to = within(this.clock.at(cut.end ?? Number.POSITIVE_INFINITY) ?? 0);
			if (to > from) {
				u.ctx.fillStyle = fill;
				u.ctx.fillRect(from, top, to - from, height);
				u.ctx.fillStyle = edge;
				u.ctx.fillRect(from, top, to - from, 2 * devicePixelRatio);
			}
		}
		u.ctx.restore();
	}

	private showCursor(u: uPlot): void {
		const i = u.cursor.idx;
		const time = i == null ? undefined : u.data[0][i];
		const price = i == null ? undefined : u.data[1]?.[i];
		const known = time !== undefined && price != null;
		setText(this.readout, known ? `${formatPrice(price)} at ${formatTime(time * 1000)}` : "");
	}
}

/** The range of prices with some air, and never of no height. */
function priceRange(low: number | null, high: number | null): [number, number] {
	if (low === null || high === null) {
		return [0, 1];
	}
	const air = Math.max((high - low) * 0.12, Math.abs(high) * 0.0005, 0.01);
	return [low - air, high + air];
}

/** The area under the line: its colour, thinning out to the bottom. */
function fade(u: uPlot, colour: string): CanvasGradient {
	const gradient = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
	gradient.addColorStop(0, `${colour}33`);
	gradient.addColorStop(1, `${colour}00`);
	return gradient;
}
