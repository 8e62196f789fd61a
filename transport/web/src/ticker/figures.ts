import type { Gap } from "#client";
import type { Cut } from "../common/cuts.ts";
import { byId, setText } from "../common/dom.ts";
import { formatCount, formatSeconds, plural } from "../common/format.ts";
import type { Link } from "../common/link.ts";
import { showRefusal, showState } from "../common/pill.ts";
import type { CatchUp } from "./catch-up.ts";
import type { Reading } from "./meter.ts";

/** Shows the rates and the lag. */
export function showReading(reading: Reading): void {
	const rate = (n: number | undefined) => (n === undefined ? "–" : formatCount(Math.round(n)));
	const lag = (ms: number | undefined) =>
		ms === undefined ? "–" : `${formatCount(Math.round(ms))} ms`;
	setText(byId("received", HTMLElement), rate(reading.received));
	setText(byId("published", HTMLElement), rate(reading.published));
	setText(byId("lag-median", HTMLElement), lag(reading.medianLag));
	setText(byId("lag-worst", HTMLElement), lag(reading.worstLag));
}

export function showLink(link: Link): void {
	showState(link.state);
	showRefusal(link.refusal);
}

/** Shows what the last cut has cost. */
export function showCut(cut: Cut | undefined, catchUp: CatchUp): void {
	setText(byId("resumed", HTMLElement), resumeText(cut, catchUp));
	byId("legend", HTMLElement).hidden = cut === undefined;
}

export function showGap({ reason, oldest }: Gap): void {
	const notice = byId("gap", HTMLElement);
	notice.hidden = false;
	setText(
		notice,
		`Gap (${reason || "no reason given"}): the oldest event held is ${oldest || "–"}.`,
	);
}

const LASTS: Readonly<Record<Cut["by"], string>> = {
	you: "Cut off. Quotes go on being published without this page.",
	network: "Connection lost. It comes back by itself.",
	gateway: "Cut off by the gateway. Quotes go on being published without this page.",
};

function resumeText(cut: Cut | undefined, catchUp: CatchUp): string {
	if (cut === undefined) {
		return "Not cut off yet.";
	}
	if (cut.end === undefined) {
		return LASTS[cut.by];
	}
	const lasted = `Cut off for ${formatSeconds(cut.end - cut.start)}`;
	const { published } = catchUp;
	if (published === undefined) {
		return `${lasted}, and back.`;
	}
	return (
		`${lasted}. Published meanwhile, in the whole log: ${plural(published, "event")}. ` +
		`Of ${plural(catchUp.symbols, "symbol")} the newest came at once; what it outdates is left out.`
	);
}
