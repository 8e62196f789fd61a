import { Channel, type ChannelOptions } from "./channel.ts";
import type { SpanResult } from "./span.ts";
import type { StreamState } from "./stream.ts";

/** One time without a connection, from the first stream lost to the last one back. */
export interface Cut {
	readonly by: "you" | "network";
	/** On the steady clock, in milliseconds. */
	readonly start: number;
	end: number | undefined;
}

/** The channels of the page, cut and resumed together. */
export class Connection {
	private readonly channels: Channel[] = [];
	private cutNow: Cut | undefined;
	private wasLive = false;

	/**
	 * @param elapsed a steady clock in milliseconds, performance.now
	 * @param onCut is told when a cut begins and when it ends
	 */
	constructor(
		private readonly elapsed: () => number,
		private readonly onCut: (cut: Cut) => void,
	) {}

	add(options: Omit<ChannelOptions, "onState">): Channel {
		const channel = new Channel({ ...options, onState: () => this.changed() });
		this.channels.push(channel);
		return channel;
	}

	all(): readonly Channel[] {
		return this.channels;
	}

	/** The cut that lasts, or the last one. */
	get cut(): Cut | undefined {
		return this.cutNow;
	}

	/** The state that matters most to a reader: that of the channel worst off. */
	get state(): StreamState {
		const worst: StreamState[] = ["dropped", "retrying", "connecting"];
		return worst.find((s) => this.channels.some((c) => c.stream.state === s)) ?? "live";
	}

	/** The channels' checks as one; undefined while there is none. */
	get span(): SpanResult | undefined {
		const spans = this.channels.map((c) => c.span).filter((s) => s !== undefined);
		if (spans.length === 0) {
			return undefined;
		}
		const sum = (of: (s: SpanResult) => number) => spans.reduce((n, s) => n + of(s), 0);
		return {
			done: spans.every((s) => s.done),
			published: sum((s) => s.published),
			received: sum((s) => s.received),
			missing: sum((s) => s.missing),
			twice: sum((s) => s.twice),
			gaps: sum((s) => s.gaps),
		};
	}

	open(): void {
		for (const channel of this.channels) {
			channel.stream.open();
		}
	}

	drop(): void {
		if (this.state !== "dropped") {
			this.begin("you");
		}
		for (const channel of this.channels) {
			channel.stream.drop();
		}
	}

	/** Does not wait any longer where a retry is due later. */
	hurry(): void {
		for (const channel of this.channels) {
			channel.stream.hurry();
		}
	}

	private changed(): void {
		if (this.state === "live") {
			this.wasLive = true;
			this.finish();
		} else if (this.state === "retrying" && this.wasLive) {
			this.begin("network");
		}
	}

	private begin(by: Cut["by"]): void {
		if (this.cutNow === undefined || this.cutNow.end !== undefined) {
			this.cutNow = { by, start: this.elapsed(), end: undefined };
			this.onCut(this.cutNow);
		}
	}

	private finish(): void {
		if (this.cutNow !== undefined && this.cutNow.end === undefined) {
			this.cutNow.end = this.elapsed();
			this.onCut(this.cutNow);
		}
	}
}
