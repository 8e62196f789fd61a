import type { Counters, Status } from "./status.ts";

/** What the charts show of one reading. Rates are null where there is none to compare with. */
export interface Sample {
	/** When, in milliseconds since the Unix epoch, by this page's clock. */
	readonly time: number;
	readonly eventsIn: number | null;
	readonly bytesIn: number | null;
	readonly deliveries: number | null;
	readonly bytesOut: number | null;
	readonly streams: number;
	/** Percent of the ring's limits. */
	readonly eventsFill: number;
	readonly bytesFill: number;
}

/** Makes rates a second of the counters of one reading after another. */
export class Rates {
	private last: Status | undefined;

	/** @param time when it was read, in milliseconds since the Unix epoch */
	sample(status: Status, time: number): Sample {
		const rate = this.ratesSince(this.last, status);
		this.last = status;
		const { ring } = status;
		return {
			time,
			eventsIn: rate("events"),
			bytesIn: rate("event_bytes"),
			deliveries: rate("deliveries"),
			bytesOut: rate("delivery_bytes"),
			streams: status.streams,
			eventsFill: percent(ring.events, ring.max_events),
			bytesFill: percent(ring.bytes, ring.max_bytes),
		};
	}

	/**
	 * Counters begin anew when the gateway restarts, and behind a load balancer the next
	 * answer may be another gateway's: both have another `started`.
	 */
	private ratesSince(last: Status | undefined, now: Status): (name: CounterName) => number | null {
		const seconds = last === undefined ? 0 : (Date.parse(now.time) - Date.parse(last.time)) / 1000;
		if (last === undefined || last.started !== now.started || !(seconds > 0)) {
			return () => null;
		}
		return (name) => {
			const grown = now.counters[name] - last.counters[name];
			return grown < 0 ? null : grown / seconds;
		};
	}
}

type CounterName = keyof Omit<Counters, "gaps">;

export function percent(part: number, whole: number): number {
	return whole > 0 ? (100 * part) / whole : 0;
}
