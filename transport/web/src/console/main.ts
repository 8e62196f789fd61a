import { byId, setText } from "../common/dom.ts";
import { formatCount } from "../common/format.ts";
import { showState } from "../common/pill.ts";

const EVERY_MS = 1_000;

interface Status {
	readonly stream: string;
	readonly head_id: string;
	readonly ring: { readonly events: number };
	readonly streams: number;
}

setInterval(() => void look(), EVERY_MS);
void look();

async function look(): Promise<void> {
	try {
		const answer = await fetch("v1/status", { cache: "no-store" });
		show((await answer.json()) as Status);
		showState("live");
	} catch {
		showState("retrying");
	}
}

function show(status: Status): void {
	setText(byId("stream", HTMLElement), status.stream);
	setText(byId("head", HTMLElement), status.head_id);
	setText(byId("events", HTMLElement), formatCount(status.ring.events));
	setText(byId("streams", HTMLElement), formatCount(status.streams));
}
