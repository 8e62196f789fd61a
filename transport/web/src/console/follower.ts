import type { Gap, StreamEvent } from "#client";
import { Link, type LinkState } from "../common/link.ts";
import type { Filter } from "./filter.ts";
import { Backlog, type Row, Tape } from "./tape.ts";

/** The rows that are shown, and those that wait while the page is paused. */
const SHOWN = { rows: 500, size: 16 << 20 };
const WAITING = { rows: 5_000, size: 16 << 20 };

/** What the reasons of a gap say of the id that was asked for (PROTOCOL.md, "Gaps"). */
const REASONS: Readonly<Record<string, (id: string) => string>> = {
	expired: (id) => `events after ${id} are gone from every store`,
	reset: (id) => `${id} is not of this stream, which was replaced or rewound`,
	unknown: (id) => `${id} cannot be read as an id`,
};

/**
 * Follows a filter and keeps the newest rows.
 *
 * Paused, it goes on reading and keeps what comes for later, up to a bound. There it lets
 * go of the stream: the log has the rest, and gives it when the pause is over. So a pause
 * of any length misses nothing, and costs the page no more than the bound.
 */
export class Follower {
	readonly tape = new Tape(SHOWN);
	private readonly waiting = new Backlog(WAITING);
	private link: Link | undefined;
	private from: Filter | undefined;
	private nextKey = 0;
	private events = 0;
	private lostAt: number | undefined;
	private isPaused = false;
	/** The pause has let go of the stream. */
	private letGo = false;

	/** @param onChange is told of everything */
	constructor(private readonly onChange: () => void) {}

	get state(): LinkState {
		return this.link?.state ?? "dropped";
	}

	/** Neither connected nor trying to be. */
	get isOff(): boolean {
		return this.state === "dropped" || this.state === "refused";
	}

	/** Why the gateway refuses the filter, in its words; empty while it does not. */
	get refusal(): string {
		return this.link?.refusal ?? "";
	}

	get filter(): Filter | undefined {
		return this.from;
	}

	/** Events since the filter began, those that wait among them. */
	get received(): number {
		return this.events;
	}

	get paused(): boolean {
		return this.isPaused;
	}

	/** Rows that wait for the end of the pause; `more` where there may be others in the log. */
	get held(): { readonly rows: number; readonly more: boolean } {
		return { rows: this.waiting.length, more: this.letGo };
	}

	/** The id that a resume goes on after. */
	get lastId(): string {
		return this.link?.lastId ?? "";
	}

	/** Begins a filter, with an empty tape. */
	follow(filter: Filter): void {
		this.link?.drop();
		this.tape.clear();
		this.waiting.take();
		this.events = 0;
		this.lostAt = undefined;
		this.isPaused = this.letGo = false;
		this.from = filter;
		this.link = new Link(
			{
				subjects: filter.subjects,
				from: filter.from,
				query: {
					format: "cloudevents", // raw data tells no subject
					...(filter.types.length > 0 && { type: filter.types.join(",") }),
				},
			},
			{
				onState: (state) => this.noteState(state),
				onEvent: (event) => this.take(event),
				onGap: (gap) => this.noteGap(gap),
			},
		);
		this.link.open();
		this.onChange();
	}

	/** Ends the stream; what waits is shown. */
	disconnect(): void {
		this.isPaused = this.letGo = false;
		this.lostAt = undefined;
		this.showWaiting();
		this.link?.drop();
		this.onChange();
	}

	/** Goes on after the last id. */
	reconnect(): void {
		this.link?.open();
		this.onChange();
	}

	/** Goes on where the gateway refused, now that there is another token. */
	retry(): void {
		this.link?.retry();
	}

	pause(): void {
		this.isPaused = true;
		this.onChange();
	}

	/** Ends the pause: what waits is shown, and the log asked for the rest. */
	resume(): void {
		this.isPaused = false;
		this.showWaiting();
		if (this.letGo) {
			this.letGo = false;
			this.link?.open();
		}
		this.onChange();
	}

	private take(event: StreamEvent): void {
		this.events++;
		this.add({ kind: "event", key: this.nextKey++, source: event.data });
	}

	private noteGap({ reason, requested, oldest }: Gap): void {
		const why = REASONS[reason]?.(requested) ?? `after ${requested}`;
		const text = `Gap: ${why} (${reason}). The oldest event held is ${oldest}.`;
		this.add({ kind: "gap", key: this.nextKey++, time: Date.now(), text });
	}

	private noteState(state: LinkState): void {
		if (state === "retrying") {
			this.lostAt ??= Date.now();
		} else if (state === "live" && this.lostAt !== undefined) {
			const seconds = ((Date.now() - this.lostAt) / 1000).toFixed(1);
			const after = this.lastId === "" ? "" : ` Resumed after ${this.lastId}.`;
			const text = `The connection was lost for ${seconds} s.${after}`;
			this.add({ kind: "note", key: this.nextKey++, time: Date.now(), text });
			this.lostAt = undefined;
		}
		this.onChange();
	}

	private add(row: Row): void {
		if (!this.isPaused) {
			this.tape.push(row);
		} else {
			this.waiting.push(row);
			if (this.waiting.full) {
				this.letGo = true;
				this.link?.drop();
			}
		}
		this.onChange();
	}

	private showWaiting(): void {
		for (const row of this.waiting.take()) {
			this.tape.push(row);
		}
	}
}
