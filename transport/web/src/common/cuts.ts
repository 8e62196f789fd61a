import type { LinkState } from "./link.ts";

/** One time without a connection; on a steady clock, in milliseconds. */
export interface Cut {
	by: "you" | "network" | "gateway";
	readonly start: number;
	/** Undefined while it lasts. */
	end: number | undefined;
}

/** How many cuts are kept. */
export const MAX_CUTS = 20;

/** The times without a connection, oldest first, told from the states of a link. */
export class Cuts {
	private readonly list: Cut[] = [];
	private wasLive = false;

	/** @param elapsed a steady clock in milliseconds, performance.now */
	constructor(private readonly elapsed: () => number) {}

	/** Notes a state as it begins. What comes before the first "live" is no cut. */
	note(state: LinkState): void {
		if (state === "live") {
			this.wasLive = true;
			this.end();
		} else if (this.wasLive && state !== "connecting") {
			this.begin(state === "dropped" ? "you" : "network");
			if (state === "refused" && this.last?.by === "network") {
				this.last.by = "gateway"; // it was asked again, and said no
			}
		}
	}

	all(): readonly Cut[] {
		return this.list;
	}

	/** The cut that lasts, or the last one. */
	get last(): Cut | undefined {
		return this.list.at(-1);
	}

	private begin(by: Cut["by"]): void {
		if (this.last === undefined || this.last.end !== undefined) {
			this.list.push({ by, start: this.elapsed(), end: undefined });
			this.list.splice(0, this.list.length - MAX_CUTS);
		}
	}

	private end(): void {
		if (this.last !== undefined) {
			this.last.end ??= this.elapsed();
		}
	}
}
