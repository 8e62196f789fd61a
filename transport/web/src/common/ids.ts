/**
 * An event's id as it comes over the wire: `<sequence>-<stamp>`. Ordering uses
 * the sequence alone.
 */
export type EventId = string;

function sequence(id: EventId): string {
	const dash = id.indexOf("-");
	return dash < 0 ? id : id.slice(0, dash);
}

/**
 * Orders two ids: negative, zero or positive, as for Array.sort. Sequences are
 * compared as text, because they are 64 bits wide and a number holds 53: they have
 * no leading zeros, so the longer one is the greater one.
 */
export function compareIds(a: EventId, b: EventId): number {
	const x = sequence(a);
	const y = sequence(b);
	if (x.length !== y.length) {
		return x.length - y.length;
	}
	return x < y ? -1 : x > y ? 1 : 0;
}

/** How many events the log has stored after one id up to another; negative for an earlier one. */
export function eventsBetween(after: EventId, upTo: EventId): number {
	return Number(BigInt(sequence(upTo)) - BigInt(sequence(after)));
}

/** When an event was stored, in milliseconds since the Unix epoch; NaN for an id without a stamp. */
export function storedAt(id: EventId): number {
	const dash = id.indexOf("-");
	return dash < 0 ? Number.NaN : Number.parseInt(id.slice(dash + 1), 36) / 1e6;
}
