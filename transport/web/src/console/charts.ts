import { byId, setText } from "../common/dom.ts";
import { formatCount, plural } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import { Chart } from "./chart.ts";
import type { Samples } from "./samples.ts";
import type { Status } from "./status.ts";
import { formatBytes, formatRate } from "./units.ts";

/** The four charts over the table. */
export class Charts implements View {
	private readonly all: readonly Chart[];
	private status: Status | undefined;

	constructor(private readonly samples: Samples) {
		const chart = (name: string, options: ConstructorParameters<typeof Chart>[3]) =>
			new Chart(
				samples,
				byId(`${name}-plot`, HTMLElement),
				byId(`${name}-value`, HTMLElement),
				options,
			);
		this.all = [
			chart("intake", {
				lines: [{ of: "eventsIn", colour: "--accent" }],
				atLeast: 1,
				describe: ([rate]) => sayRate(rate),
			}),
			chart("deliveries", {
				lines: [{ of: "deliveries", colour: "--second" }],
				atLeast: 1,
				describe: ([rate]) => sayRate(rate),
			}),
			chart("streams", {
				lines: [{ of: "streams", colour: "--third" }],
				atLeast: 4,
				describe: ([streams]) => (streams == null ? "–" : formatCount(streams)),
			}),
			chart("fill", {
				lines: [
					{ of: "eventsFill", colour: "--accent" },
					{ of: "bytesFill", colour: "--second" },
				],
				atLeast: 100,
				describe: (fills) =>
					fills.map((fill) => (fill == null ? "–" : sayPercent(fill))).join(" · "),
			}),
		];
	}

	show(status: Status): void {
		this.status = status;
	}

	render(): void {
		for (const chart of this.all) {
			chart.render();
		}
		const { status } = this;
		const { newest } = this.samples;
		if (status === undefined || newest === undefined) {
			return;
		}
		const { counters } = status;
		note("intake", newest.bytesIn, `${formatCount(counters.events)} since the start`);
		note("deliveries", newest.bytesOut, `${formatCount(counters.deliveries)} since the start`);
		const opened = `${formatCount(counters.streams)} opened, ${formatCount(counters.resumes)} resumed`;
		setText(
			byId("streams-note", HTMLElement),
			`${opened}, ${plural(sumOfGaps(status), "gap")} told`,
		);
	}
}

function note(name: string, bytes: number | null, text: string): void {
	const rate = bytes === null ? "" : `${formatBytes(bytes)}/s · `;
	setText(byId(`${name}-note`, HTMLElement), rate + text);
}

function sayRate(rate: number | null | undefined): string {
	return rate == null ? "–" : `${formatRate(rate)} /s`;
}

/** "0.02 %": a ring of a million events is next to empty for a while. */
export function sayPercent(percent: number): string {
	if (percent > 0 && percent < 0.01) {
		return "< 0.01 %";
	}
	const digits = percent === 0 || percent >= 10 ? 0 : percent >= 1 ? 1 : 2;
	return `${percent.toFixed(digits)} %`;
}

function sumOfGaps({ counters: { gaps } }: Status): number {
	return gaps.expired + gaps.reset + gaps.unknown;
}
