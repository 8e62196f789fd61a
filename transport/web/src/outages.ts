/** A time without a connection; end is undefined while it lasts. */
export interface Outage {
	readonly start: number;
	end: number | undefined;
}

/** How many outages are kept. */
export const MAX_OUTAGES = 20;

/** The times without a connection, oldest first. */
export class Outages {
	private readonly list: Outage[] = [];

	begin(at: number): void {
		if (this.open === undefined) {
			this.list.push({ start: at, end: undefined });
			this.list.splice(0, this.list.length - MAX_OUTAGES);
		}
	}

	end(at: number): void {
		if (this.open !== undefined) {
			this.open.end = at;
		}
	}

	/** The outage that lasts. */
	get open(): Outage | undefined {
		const last = this.list.at(-1);
		return last?.end === undefined ? last : undefined;
	}

	all(): readonly Outage[] {
		return this.list;
	}
}
