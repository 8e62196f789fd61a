import { compareIds, type EventId, eventsBetween } from "../common/ids.ts";

/**
 * What a stream brings at once when it opens: with conflation the newest event of each
 * symbol, up to where the log stood.
 */
export class CatchUp {
	private head: EventId | undefined;
	/** Symbols by the id of their first event since the stream opened. */
	private readonly first = new Map<string, EventId>();

	/** @param after where the stream goes on from; undefined for a new one */
	constructor(readonly after: EventId | undefined) {}

	/** Says where the log stood when the stream opened. */
	expect(head: EventId): void {
		this.head = head;
	}

	/** Notes an event that is not known to be live. */
	deliver(symbol: string, id: EventId): void {
		if (!this.first.has(symbol)) {
			this.first.set(symbol, id);
		}
	}

	/** Whether an event was published after the stream had opened, as far as is known. */
	isLive(id: EventId): boolean {
		return this.head !== undefined && compareIds(id, this.head) > 0;
	}

	/** How many events the log has stored meanwhile, of all subjects. */
	get published(): number | undefined {
		return this.after === undefined || this.head === undefined
			? undefined
			: eventsBetween(this.after, this.head);
	}

	/** Of how many symbols the newest came at once. */
	get symbols(): number {
		return [...this.first.values()].filter((id) => !this.isLive(id)).length;
	}
}
