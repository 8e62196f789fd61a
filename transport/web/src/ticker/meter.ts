import { type EventId, eventsBetween, storedAt } from "../common/ids.ts";

/** What a Meter has found for the time since it was last read. */
export interface Reading {
	/** Events received per second. */
	readonly received: number;
	/** Events that the log stored per second, of all subjects; undefined before a second id. */
	readonly published: number | undefined;
	/** Milliseconds; undefined when nothing came. */
	readonly medianLag: number | undefined;
	readonly worstLag: number | undefined;
}

/** How long the quickest event counts, in spans of a tenth of it: clocks drift. */
const BASE_MS = 300_000;
const SPAN_MS = BASE_MS / 10;

/** How many lags are kept between two readings, which are far apart in a hidden tab. */
const MAX_AGES = 10_000;

/**
 * The rate of a feed and its lag.
 *
 * The lag is the time from an event's being stored, which its id tells, to its arrival
 * here, less that of the quickest event of the last five minutes. So a clock here that
 * is wrong does not count, and neither does the least time that the way takes.
 */
export class Meter {
	private count = 0;
	private ages: number[] = [];
	private readAt: number;
	private newest: EventId | undefined;
	/** The least age of an event, by span of time. */
	private readonly quickest: { readonly span: number; age: number }[] = [];

	/** @param now a steady clock in milliseconds */
	constructor(private readonly now: () => number) {
		this.readAt = now();
	}

	/** Notes an event. Its lag counts unless it was history when the stream opened. */
	note(id: EventId, isLive: boolean): void {
		this.count++;
		const age = this.now() - storedAt(id);
		if (isLive && !Number.isNaN(age)) {
			if (this.ages.length < MAX_AGES) {
				this.ages.push(age);
			}
			this.noteQuickest(age);
		}
	}

	/** Reads what has been since the last reading. */
	read(newest: EventId | undefined): Reading {
		const seconds = (this.now() - this.readAt) / 1000;
		const base = Math.min(...this.quickest.map((q) => q.age));
		const lags = this.ages.map((age) => age - base).sort((a, b) => a - b);
		const reading = {
			received: this.count / seconds,
			published: this.published(newest, seconds),
			medianLag: lags[Math.floor(lags.length / 2)],
			worstLag: lags.at(-1),
		};
		this.count = 0;
		this.ages = [];
		this.readAt = this.now();
		this.newest = newest;
		return reading;
	}

	private published(newest: EventId | undefined, seconds: number): number | undefined {
		if (newest === undefined || this.newest === undefined) {
			return undefined;
		}
		const events = eventsBetween(this.newest, newest);
		return events < 0 ? undefined : events / seconds; // negative: the log began anew
	}

	private noteQuickest(age: number): void {
		const span = Math.floor(this.now() / SPAN_MS);
		const last = this.quickest.at(-1);
		if (last?.span === span) {
			last.age = Math.min(last.age, age);
		} else {
			this.quickest.push({ span, age });
			this.quickest.splice(0, this.quickest.length - BASE_MS / SPAN_MS);
		}
	}
}
