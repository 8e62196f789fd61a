import type { Gap, StreamEvent } from "#client";
import { Cuts } from "../common/cuts.ts";
import { compareIds, type EventId } from "../common/ids.ts";
import { Link, type LinkRequest, type LinkState } from "../common/link.ts";
import { SpanCheck, type SpanResult } from "./span.ts";

export interface ChannelOptions {
	readonly request: LinkRequest;
	/** Reads the ids that the log holds after a position, ascending. */
	readonly readIds: (after: EventId, signal: AbortSignal) => Promise<EventId[]>;
	readonly onEvent: (event: StreamEvent) => void;
	readonly onGap: (gap: Gap) => void;
	/** Something that a reader would want to see has changed. */
	readonly onChange: () => void;
}

/** How long to wait before the log is asked again, after it gave no answer. */
const READ_AGAIN_MS = 1_000;

/**
 * One stream with its bookkeeping: what came, whether in order, and after each cut
 * whether all came that should have.
 */
export class Channel {
	readonly link: Link;
	readonly cuts = new Cuts(() => performance.now());
	/** Events received since the page was opened. */
	received = 0;
	/** Events whose id was not above the one before. */
	disorder = 0;
	/** What the gateway told last of events that are gone. */
	lastGap: Gap | undefined;

	private check: SpanCheck | undefined;
	private result: SpanResult | undefined;
	private reading: AbortController | undefined;
	private previous: EventId | undefined;

	constructor(private readonly options: ChannelOptions) {
		this.link = new Link(options.request, {
			onState: (state) => this.changed(state),
			onEvent: (event) => this.event(event),
			onGap: (gap) => this.gap(gap),
		});
	}

	/**
	 * What the check of the last cut found so far; undefined before the first cut,
	 * and after a cut before the first event, when there is nothing to go on from.
	 */
	get span(): SpanResult | undefined {
		if (this.check !== undefined && this.result?.done !== true) {
			this.result = this.check.result();
			if (this.result.done) {
				this.check = undefined; // with all its ids
			}
		}
		return this.result;
	}

	private changed(state: LinkState): void {
		if (state === "live") {
			this.verify();
		} else {
			this.cut();
		}
		this.cuts.note(state);
		this.options.onChange();
	}

	/** A cut during a check prolongs the span. */
	private cut(): void {
		this.reading?.abort();
		const last = this.link.lastId;
		if (last !== undefined && (this.span === undefined || this.span.done)) {
			this.result = undefined;
			this.check = new SpanCheck(last);
		}
	}

	private verify(): void {
		if (this.check !== undefined) {
			this.reading = new AbortController();
			void this.readSpan(this.check, this.reading.signal);
		}
	}

	private async readSpan(check: SpanCheck, signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			try {
				check.expect(await this.options.readIds(check.after, signal));
				this.options.onChange();
				return;
			} catch {
				await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS));
			}
		}
	}

	private event(event: StreamEvent): void {
		this.received++;
		if (this.previous !== undefined && compareIds(event.lastEventId, this.previous) <= 0) {
			this.disorder++;
		}
		this.previous = event.lastEventId;
		this.check?.deliver(event.lastEventId);
		this.options.onEvent(event);
		this.options.onChange();
	}

	/** After a gap ids may begin anew, in another stream. */
	private gap(gap: Gap): void {
		this.lastGap = gap;
		this.previous = undefined;
		this.check?.gap();
		this.options.onGap(gap);
		this.options.onChange();
	}
}
