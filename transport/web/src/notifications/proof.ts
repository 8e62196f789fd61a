import { CutButtons } from "../common/cut-buttons.ts";
import type { Cut } from "../common/cuts.ts";
import { byId, setText } from "../common/dom.ts";
import { formatCount, formatSeconds, plural } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import { showRefusal, showState } from "../common/pill.ts";
import type { Channel } from "./channel.ts";
import type { SpanResult } from "./span.ts";

/**
 * - `none`: there is nothing to judge
 * - `off`: cut off now
 * - `checking`: resumed, and not everything is accounted for
 * - `whole`, `gap`, `lost`: all came; all came but what the gateway said is gone;
 *   something is missing or came twice
 */
type Verdict = "none" | "off" | "checking" | "whole" | "gap" | "lost";

/** The state of the connection, what the stream has received, and the proof. */
export class ProofView implements View {
	private readonly buttons: CutButtons;

	constructor(private readonly channel: Channel) {
		this.buttons = new CutButtons(channel.link);
	}

	render(): void {
		const { link } = this.channel;
		showState(link.state);
		showRefusal(link.refusal);
		this.buttons.show();
		this.showStream();
		this.showProof();
		this.showGap();
	}

	private showStream(): void {
		const { link, received, disorder } = this.channel;
		setText(byId("last-id", HTMLElement), link.lastId ?? "–");
		setText(byId("received", HTMLElement), formatCount(received));
		setText(byId("order", HTMLElement), orderText(this.channel));
		byId("order", HTMLElement).dataset["fine"] = String(disorder === 0);
	}

	private showProof(): void {
		const { span, cuts } = this.channel;
		const cut = cuts.last;
		const verdict = verdictOf(span, cut);
		byId("proof", HTMLElement).dataset["verdict"] = verdict;
		const known = verdict === "none" || verdict === "off" ? undefined : span;
		const figure = (id: string, n: number | undefined) =>
			setText(byId(id, HTMLElement), n === undefined ? "–" : formatCount(n));
		figure("published", known?.published);
		figure("arrived", known?.received);
		figure("missing", known?.missing);
		setText(byId("verdict", HTMLElement), verdictText(verdict, span, cut));
	}

	private showGap(): void {
		const gap = this.channel.lastGap;
		const notice = byId("gap", HTMLElement);
		notice.hidden = gap === undefined;
		if (gap !== undefined) {
			const why = GAP_TEXT[gap.reason] ?? "events are gone";
			setText(
				notice,
				`Gap (${gap.reason || "no reason given"}): ${why}. ` +
					`Asked for ${gap.requested || "–"}, the oldest held is ${gap.oldest || "–"}.`,
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

const LASTS: Readonly<Record<Cut["by"], string>> = {
	you: "Cut off. Events go on without this page.",
	network: "Connection lost. It comes back by itself.",
	gateway: "Cut off by the gateway. Events go on without this page.",
};

function verdictText(verdict: Verdict, span: SpanResult | undefined, cut: Cut | undefined): string {
	switch (verdict) {
		case "none":
			return cut === undefined
				? "Not cut off yet."
				: "Cut off before the first event: there was no id to resume from.";
		case "off":
			return LASTS[cut?.by ?? "you"];
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

function orderText(channel: Channel): string {
	if (channel.disorder > 0) {
		return `${plural(channel.disorder, "id")} not rising`;
	}
	return channel.received === 0 ? "–" : "ids rising";
}
