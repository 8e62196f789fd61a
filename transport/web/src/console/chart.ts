import uPlot from "uplot";
import { setText } from "../common/dom.ts";
import { formatTime } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import type { Sample } from "./rates.ts";
import { type Samples, SPAN_MS } from "./samples.ts";
import { formatTick } from "./units.ts";

const FONT = "11px system-ui, sans-serif";
const VALUE_AXIS_WIDTH = 42;
const TIME_AXIS_HEIGHT = 22;
/** The least distance between two labels of an axis, in CSS pixels. */
const TIME_LABEL_SPACE = 76;
const VALUE_LABEL_SPACE = 26;

/** One line of a chart. */
export interface Line {
	readonly of: keyof Sample;
	/** The custom property that has its colour. */
	readonly colour: string;
}

export interface ChartOptions {
	readonly lines: readonly Line[];
	/** The axis reaches this at least. */
	readonly atLeast: number;
	/** Says the values of a sample, in the order of the lines. */
	readonly describe: (values: readonly (number | null)[]) => string;
}

/** A chart of the last five minutes: its lines, and the value under the pointer. */
export class Chart implements View {
	private plot: uPlot | undefined;

	/**
	 * @param canvas where it is drawn
	 * @param value where the newest value is said, or that under the pointer
	 */
	constructor(
		private readonly samples: Samples,
		private readonly canvas: HTMLElement,
		private readonly value: HTMLElement,
		private readonly options: ChartOptions,
	) {
		// A canvas knows no style sheet: colours are read when it is made.
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
			this.plot?.destroy();
			this.plot = undefined;
			this.render();
		});
		new ResizeObserver(() => this.plot?.setSize(this.size())).observe(canvas);
	}

	render(): void {
		const data = this.samples.columns(this.options.lines.map((line) => line.of));
		this.plot ??= new uPlot(this.plotOptions(), data, this.canvas);
		this.plot.setData(data);
		this.say(this.plot);
	}

	/** Says the value under the pointer, else the newest. */
	private say(plot: uPlot): void {
		const at = plot.cursor.idx ?? plot.data[0].length - 1;
		const values = this.options.lines.map((_, i) => plot.data[i + 1]?.[at] ?? null);
		const time = plot.cursor.idx == null ? undefined : plot.data[0][at];
		const when = time === undefined ? "" : ` at ${formatTime(time * 1000)}`;
		setText(this.value, this.options.describe(values) + when);
	}

	private size(): { width: number; height: number } {
		return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
	}

	private plotOptions(): uPlot.Options {
		const style = getComputedStyle(document.documentElement);
		const colour = (name: string) => style.getPropertyValue(name).trim();
		const axis = { stroke: colour("--muted"), font: FONT, ticks: { show: false } };
		const grid = { stroke: colour("--line"), width: 1 };
		return {
			...this.size(),
			legend: { show: false },
			padding: [8, 16, 0, 0],
			cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
			scales: {
				x: { range: () => timeRange(this.samples) },
				y: { range: (_, __, high) => [0, Math.max(this.options.atLeast, high ?? 0) * 1.15] },
			},
			axes: [
				{
					...axis,
					grid: { show: false },
					size: TIME_AXIS_HEIGHT,
					space: TIME_LABEL_SPACE,
					values: (_, at) => at.map((s) => formatTime(s * 1000).slice(0, 5)),
					incrs: [60, 120, 300],
				},
				{
					...axis,
					grid,
					size: VALUE_AXIS_WIDTH,
					space: VALUE_LABEL_SPACE,
					values: (_, at) => at.map(formatTick),
				},
			],
			series: [{}, ...this.options.lines.map((line, i) => lineStyle(colour(line.colour), i === 0))],
			hooks: { setCursor: [(plot) => this.say(plot)] },
		};
	}
}

function lineStyle(colour: string, filled: boolean): uPlot.Series {
	return {
		stroke: colour,
		width: 1.75,
		...(filled && { fill: (plot: uPlot) => fade(plot, colour) }),
		points: { show: false },
	};
}

/** Five minutes up to now, in seconds, whether or not there is something in them. */
function timeRange(samples: Samples): [number, number] {
	const now = samples.newest?.time ?? Date.now();
	return [(now - SPAN_MS) / 1000, now / 1000];
}

/** The area under a line: its colour, thinning out to the bottom. */
function fade(plot: uPlot, colour: string): CanvasGradient {
	const { top, height } = plot.bbox;
	const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
	gradient.addColorStop(0, `${colour}38`);
	gradient.addColorStop(1, `${colour}05`);
	return gradient;
}
