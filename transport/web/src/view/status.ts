import type { Channel } from "../channel.ts";
import type { Connection, Cut } from "../connection.ts";
import type { SpanResult } from "../span.ts";
import type { StreamState } from "../stream.ts";
import { byId, cloneTemplate, find, setText } from "./dom.ts";
import { formatCount, formatSeconds, plural } from "./format.ts";
import type { View } from "./frame.ts";

const STATE_TEXT: Readonly<Record<StreamState, string>> = {
	connecting: "Connecting",
	live: "Live",
	retrying: "Reconnecting",
	dropped: "Dropped",
};

/**
 * - `none`: there is nothing to judge
 * - `off`: cut off now
 * - `checking`: resumed, and not everything is accounted for
 * - `whole`, `gap`, `lost`: all came; all came but what the gateway said is gone;
 *   something is missing or came twice
 */
type Verdict = "none" | "off" | "checking" | "whole" | "gap" | "lost";

/** The state of the connection, what each stream has received, and the proof. */
export class StatusView implements View {
	private readonly rows = new Map<Channel, StreamRow>();

	constructor(private readonly connection: Connection) {}

	render(): void {
		const state = this.connection.state;
		byId("status", HTMLElement).dataset["state"] = state;
		setText(byId("status-text", HTMLElement), STATE_TEXT[state]);
		const toggle = byId("toggle", HTMLButtonElement);
		setText(toggle, state === "dropped" ? "Reconnect" : "Drop the connection");
		byId("pause", HTMLButtonElement).disabled = state === "dropped";
		for (const channel of this.connection.all()) {
			this.row(channel).show(channel);
		}
		this.showProof();
		this.showGap();
		if (state === "live") {
			this.refused(undefined);
		}
	}

	/** Shows why the gateway refuses a stream, or with undefined that it does not. */
	refused(why: string | undefined): void {
		const notice = byId("refused", HTMLElement);
		notice.hidden = why === undefined;
		setText(notice, why ?? "");
	}

	private row(channel: Channel): StreamRow {
		let row = this.rows.get(channel);
		if (row === undefined) {
			row = new StreamRow(channel);
			this.rows.set(channel, row);
			byId("streams", HTMLElement).append(row.element);
		}
		return row;
	}

	private showProof(): void {
		const { span, cut } = this.connection;
		const verdict = verdictOf(span, cut);
		byId("proof", HTMLElement).dataset["verdict"] = verdict;
		const known = verdict === "none" || verdict === "off" ? undefined : span;
		const figure = (id: string, n: number | undefined) =>
			setText(byId(id, HTMLElement), n === undefined ? "–" : formatCount(n));
		figure("published", known?.published);
		figure("arrived", known?.received);
		figure("missing", known?.missing);
		setText(byId("verdict", HTMLElement), verdictText(verdict, span, cut));
		byId("legend", HTMLElement).hidden = cut === undefined;
	}

	private showGap(): void {
		const channel = this.connection.all().find((c) => c.lastGap !== undefined);
		const notice = byId("gap", HTMLElement);
		notice.hidden = channel?.lastGap === undefined;
		if (channel?.lastGap !== undefined) {
			const { reason, requested, oldest } = channel.lastGap;
			const why = GAP_TEXT[reason] ?? "events are gone";
			setText(
				notice,
				`Gap in ${channel.name} (${reason || "no reason given"}): ${why}. ` +
					`Asked for ${requested || "–"}, the oldest held is ${oldest || "–"}.`,
			);
		}
	}
}

const GAP_TEXT: Readonly<Record<string, string | undefined>> = {
	expired: "the events after the last id are no longer held",
	reset: "the stream was replaced or rewound",
	unknown: "the gateway could not read the last id",
};

function verdictOf(span: SpanResult | undefined, cut: Cut | undefined): Verdict {
	if (cut !== undefined && cut.end === undefined) {
		return "off";
	}
	if (span === undefined) {
		return "none";
	}
	if (!span.done) {
		return "checking";
	}
	if (span.missing > 0 || span.twice > 0) {
		return "lost";
	}
	return span.gaps > 0 ? "gap" : "whole";
}

function verdictText(verdict: Verdict, span: SpanResult | undefined, cut: Cut | undefined): string {
	switch (verdict) {
		case "none":
			return cut === undefined
				? "Not cut off yet."
				: "Cut off before the first event: there was no id to resume from.";
		case "off":
			return cut?.by === "network"
				? "Connection lost. It comes back by itself."
				: "Cut off. Events go on without this page.";
		case "checking":
			return "Resumed. Comparing with the log …";
	}
	const lasted = formatSeconds((cut?.end ?? 0) - (cut?.start ?? 0));
	const { missing = 0, twice = 0 } = span ?? {};
	if (verdict === "gap") {
		return `Cut off for ${lasted}: some events are gone, and the gateway says so. All others came.`;
	}
	const lost = missing === 0 ? "nothing" : formatCount(missing);
	const again = twice === 0 ? "nothing" : formatCount(twice);
	return `Cut off for ${lasted}: ${lost} missing, ${again} twice.`;
}

/** One stream's line. */
class StreamRow {
	readonly element = cloneTemplate("stream-template", HTMLLIElement);
	private readonly state = find(this.element, ".stream-state", HTMLElement);
	private readonly id = find(this.element, ".stream-id", HTMLElement);
	private readonly count = find(this.element, ".stream-count", HTMLElement);
	private readonly order = find(this.element, ".stream-order", HTMLElement);

	constructor(channel: Channel) {
		this.element.dataset["stream"] = channel.name;
		setText(find(this.element, "strong", HTMLElement), channel.name);
		setText(find(this.element, ".stream-subject", HTMLElement), channel.subject);
	}

	show(channel: Channel): void {
		const state = channel.stream.state;
		this.element.dataset["state"] = state;
		setText(this.state, STATE_TEXT[state].toLowerCase());
		setText(this.id, channel.stream.lastId ?? "–");
		setText(this.count, formatCount(channel.received));
		setText(this.order, orderText(channel));
		this.order.dataset["fine"] = String(channel.disorder === 0);
	}
}

function orderText(channel: Channel): string {
	if (channel.disorder > 0) {
		return `${plural(channel.disorder, "id")} not rising`;
	}
	return channel.received === 0 ? "–" : "ids rising";
}
