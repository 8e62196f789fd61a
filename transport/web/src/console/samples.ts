import type { Sample } from "./rates.ts";

/** How far back the charts reach. */
export const SPAN_MS = 5 * 60_000;

/** Readings further apart than this are not joined by a line: nobody looked in between. */
const HOLE_MS = 3_500;

/** The samples of the last five minutes, in columns as a chart takes them. */
export class Samples {
	private readonly kept: Sample[] = [];

	add(sample: Sample): void {
		const last = this.kept.at(-1);
		if (last !== undefined && sample.time < last.time) {
			this.kept.length = 0; // the clock was set back: what is kept lies in the future
		}
		this.kept.push(sample);
		const old = this.kept.findIndex((s) => s.time >= sample.time - SPAN_MS);
		this.kept.splice(0, old);
	}

	get newest(): Sample | undefined {
		return this.kept.at(-1);
	}

	/** The times, in seconds, and the values of each name, null where the line breaks. */
	columns(names: readonly (keyof Sample)[]): [number[], ...(number | null)[][]] {
		const times: number[] = [];
		const values = names.map((): (number | null)[] => []);
		let before: number | undefined;
		for (const sample of this.kept) {
			if (before !== undefined && sample.time - before > HOLE_MS) {
				times.push((before + 1) / 1000);
				for (const column of values) {
					column.push(null);
				}
			}
			before = sample.time;
			times.push(sample.time / 1000);
			for (const [i, name] of names.entries()) {
				values[i]?.push(sample[name]);
			}
		}
		return [times, ...values];
	}
}
