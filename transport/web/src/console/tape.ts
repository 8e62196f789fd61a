import { type ConsoleEvent, readEvent } from "./event.ts";

/** What a tape holds: an event as it came, or a notice between events. */
export type Row = EventRow | NoticeRow;

export interface EventRow {
	readonly kind: "event";
	/** Rises by one with every row there is. */
	readonly key: number;
	/** A CloudEvent, read when somebody looks at it: at 20,000 a second nobody looks at most. */
	readonly source: string;
	event?: ConsoleEvent;
}

export interface NoticeRow {
	readonly kind: "gap" | "note";
	readonly key: number;
	/** When, in milliseconds since the Unix epoch, by this page's clock. */
	readonly time: number;
	readonly text: string;
}

export interface Limits {
	readonly rows: number;
	/** Of all sources together, in UTF-16 units. */
	readonly size: number;
}

/** The newest rows, oldest first. One that alone is larger than the limit is kept all the same. */
export class Tape {
	private readonly rows: (Row | undefined)[];
	private first = 0;
	private count = 0;
	private size = 0;

	constructor(private readonly limits: Limits) {
		this.rows = new Array<Row | undefined>(limits.rows);
	}

	get length(): number {
		return this.count;
	}

	push(row: Row): void {
		if (this.count === this.limits.rows) {
			this.shift();
		}
		this.rows[(this.first + this.count) % this.limits.rows] = row;
		this.count++;
		this.size += sizeOf(row);
		while (this.size > this.limits.size && this.count > 1) {
			this.shift();
		}
	}

	/** The row that is `age` rows older than the newest. */
	newest(age: number): Row | undefined {
		return age < 0 || age >= this.count
			? undefined
			: this.rows[(this.first + this.count - 1 - age) % this.limits.rows];
	}

	/** How many rows are newer than the one with this key; undefined where it is gone. */
	ageOf(key: number): number | undefined {
		const newest = this.newest(0);
		const age = newest === undefined ? -1 : newest.key - key;
		return this.newest(age)?.key === key ? age : undefined;
	}

	clear(): void {
		this.rows.fill(undefined);
		this.first = this.count = this.size = 0;
	}

	private shift(): void {
		const row = this.rows[this.first] as Row;
		this.rows[this.first] = undefined;
		this.first = (this.first + 1) % this.limits.rows;
		this.count--;
		this.size -= sizeOf(row);
	}
}

/** Rows that wait. None is pushed out: who fills it stops at the limits, one row beyond at most. */
export class Backlog {
	private rows: Row[] = [];
	private size = 0;

	constructor(private readonly limits: Limits) {}

	get length(): number {
		return this.rows.length;
	}

	get full(): boolean {
		return this.rows.length >= this.limits.rows || this.size >= this.limits.size;
	}

	push(row: Row): void {
		this.rows.push(row);
		this.size += sizeOf(row);
	}

	/** Empties it, and returns what was in it, oldest first. */
	take(): Row[] {
		const all = this.rows;
		this.rows = [];
		this.size = 0;
		return all;
	}
}

function sizeOf(row: Row): number {
	return row.kind === "event" ? row.source.length : row.text.length;
}

/** The event of a row, which is read once. */
export function eventOf(row: EventRow): ConsoleEvent {
	row.event ??= readEvent(row.source);
	return row.event;
}
