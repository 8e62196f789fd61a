/**
 * The time as the producers have it: the newest event's, plus what has passed
 * here since it came. The reader's own clock may be wrong, and then a chart that
 * ended at its "now" would be empty.
 */
export class EventClock {
	private newest = 0;
	private seenAt = 0;

	/** @param elapsed a steady clock in milliseconds, performance.now */
	constructor(private readonly elapsed: () => number) {}

	/** Notes the time of an event, in milliseconds since the Unix epoch. */
	observe(time: number): void {
		if (time > this.newest) {
			this.newest = time;
			this.seenAt = this.elapsed();
		}
	}

	/** The time now, or undefined before the first event. */
	now(): number | undefined {
		return this.at(this.elapsed());
	}

	/** The time at a moment of the steady clock. */
	at(elapsed: number): number | undefined {
		return this.newest === 0 ? undefined : this.newest + elapsed - this.seenAt;
	}
}
