import { byId, setText } from "./dom.ts";
import type { LinkState } from "./link.ts";

export const STATE_TEXT: Readonly<Record<LinkState, string>> = {
	connecting: "Connecting",
	live: "Live",
	retrying: "Reconnecting",
	dropped: "Dropped",
	refused: "Refused",
};

/** Shows a state in the page's header: by the name that the style sheet has for it, and in words. */
export function showPill(state: string, text: string): void {
	byId("status", HTMLElement).dataset["state"] = state;
	setText(byId("status-text", HTMLElement), text);
}

/** Shows the state of the page's connection in its header. */
export function showState(state: LinkState): void {
	showPill(state, STATE_TEXT[state]);
}

/** Shows why the gateway refuses, in the page's #refused; nothing where it does not. */
export function showRefusal(why: string): void {
	const notice = byId("refused", HTMLElement);
	notice.hidden = why === "";
	setText(notice, why === "" ? "" : `The gateway refuses: ${why}`);
}
