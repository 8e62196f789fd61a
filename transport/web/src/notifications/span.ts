import { compareIds, type EventId } from "../common/ids.ts";

/** The longest span that is compared id by id; what lies beyond is not compared. */
export const MAX_SPAN = 20_000;

/** What a SpanCheck has found so far. */
export interface SpanResult {
	/** Whether every event that the log holds in the span is accounted for. */
	readonly done: boolean;
	/** Events that the log holds after the cut, up to the head at the resume. */
	readonly published: number;
	/** How many of these the stream has delivered since. */
	readonly received: number;
	/** How many of these the stream has passed over. */
	readonly missing: number;
	/** How many of these came more than once. */
	readonly twice: number;
	/** How often the gateway told, within the span, that events are gone for good. */
	readonly gaps: number;
}

/**
 * Proves that a resumed stream delivered what it should: it compares the ids that
 * the stream delivers after a cut with those that the log holds for the same span,
 * read separately as a JSON page.
 *
 * Both sides may come in any order and in pieces. Memory is bounded by MAX_SPAN.
 */
export class SpanCheck {
	private readonly seen = new Map<EventId, number>();
	private newest: EventId | undefined;
	private gaps = 0;
	private expected: readonly EventId[] | undefined;

	/** @param after the last id before the cut, which begins the span */
	constructor(readonly after: EventId) {}

	/** Notes an event that the stream delivered after the cut. */
	deliver(id: EventId): void {
		if (this.newest === undefined || compareIds(id, this.newest) > 0) {
			this.newest = id;
		}
		const times = this.seen.get(id);
		if (times !== undefined || this.seen.size < MAX_SPAN) {
			this.seen.set(id, (times ?? 0) + 1);
		}
	}

	/**
	 * Notes that the gateway told of a gap. Neither side has the events lost, and ids
	 * may begin anew, so what is newest is open again.
	 */
	gap(): void {
		this.gaps++;
		this.newest = undefined;
	}

	/** Says which ids the log holds in the span, ascending. */
	expect(ids: readonly EventId[]): void {
		this.expected = ids.slice(0, MAX_SPAN);
	}

	result(): SpanResult {
		const expected = this.expected ?? [];
		let received = 0;
		let missing = 0;
		let twice = 0;
		for (const id of expected) {
			const times = this.seen.get(id) ?? 0;
			if (times > 0) {
				received++;
			} else if (this.newest !== undefined && compareIds(id, this.newest) < 0) {
				missing++; // the stream is past it, and ids only ever rise
			}
			if (times > 1) {
				twice++;
			}
		}
		return {
			done: this.expected !== undefined && received + missing === expected.length,
			published: expected.length,
			received,
			missing,
			twice,
			gaps: this.gaps,
		};
	}
}
