import { byId, setText } from "../common/dom.ts";
import { formatCount, plural } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import { showPill, showRefusal, showState } from "../common/pill.ts";
import { exampleOf } from "./filter.ts";
import type { Follower } from "./follower.ts";

/** What stands over the table: how much of what came is in it, and the buttons. */
export class TapeBar implements View {
	private readonly pause = byId("pause", HTMLButtonElement);
	private readonly connect = byId("connect", HTMLButtonElement);

	constructor(private readonly follower: Follower) {}

	render(): void {
		const { follower } = this;
		const off = follower.isOff;
		setText(this.pause, follower.paused ? "Resume" : "Pause");
		this.pause.disabled = off && !follower.paused;
		this.pause.dataset["paused"] = String(follower.paused);
		setText(this.connect, off && !follower.paused ? "Connect" : "Disconnect");
		this.connect.disabled = follower.filter === undefined;
		setText(byId("tape-state", HTMLElement), this.say());
		this.renderEmpty();
		this.renderState();
		showRefusal(follower.refusal);
	}

	/** Before there is a filter nothing is cut off: it may be for want of a token. */
	private renderState(): void {
		const { filter, paused, state } = this.follower;
		if (filter === undefined) {
			showPill("idle", "Idle");
		} else if (paused) {
			showPill("paused", "Paused");
		} else {
			showState(state);
		}
	}

	/** Says how to get events, where there are none. */
	private renderEmpty(): void {
		const { filter, tape, state, paused } = this.follower;
		byId("tape-empty", HTMLElement).hidden = tape.length > 0 || paused || state === "refused";
		const example = exampleOf(filter?.subjects[0] ?? "events.>");
		setText(byId("tape-example", HTMLElement), `ringcast pub ${example} "Hello"`);
		byId("publish-subject", HTMLInputElement).placeholder = example;
	}

	private say(): string {
		const { follower } = this;
		if (follower.paused) {
			return sayHeld(follower.held);
		}
		if (follower.filter === undefined) {
			return "Not following anything yet";
		}
		const { received, tape } = follower;
		const seen = `Showing ${formatCount(Math.min(received, tape.length))} of ${plural(received, "event")} received`;
		if (follower.state === "dropped" && follower.lastId !== "") {
			return `${seen}. Connect goes on after ${follower.lastId}`;
		}
		return seen;
	}
}

function sayHeld({ rows, more }: Follower["held"]): string {
	const wait = rows === 1 ? "1 waits" : `${formatCount(rows)} wait`;
	return more
		? `Paused: ${wait} here, and what follows in the log. Nothing is missed`
		: `Paused: ${wait}`;
}
