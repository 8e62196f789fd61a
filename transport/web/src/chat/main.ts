import { byId, setText } from "../common/dom.ts";
import { Frame, type View } from "../common/frame.ts";
import { showPill } from "../common/pill.ts";
import { openStorage } from "../common/storage.ts";
import { TokenForm } from "../common/token-form.ts";
import { Composer } from "./composer.ts";
import { Conversation, type Turn } from "./conversation.ts";
import { type Stage, Talk } from "./talk.ts";
import { type TurnState, TurnView } from "./turn-view.ts";

/** How much of an answer is read out when it has come. */
const MOST_SAID = 1_000;

/** What the header says of each stage. */
const STATES: Readonly<Record<Stage, readonly [state: string, text: string]>> = {
	ready: ["idle", "Ready"],
	asking: ["connecting", "Asking"],
	answering: ["live", "Answering"],
	returning: ["retrying", "Reconnecting"],
};

/** How near the end of the page is at its end, in pixels. */
const NEAR = 48;

const storage = openStorage(() => window.sessionStorage);
const conversation = new Conversation(storage);
const talk = new Talk(conversation, storage, { onStage: show, onText: drawLast, onEnd: sayEnd });
const composer = new Composer(ask, () => talk.stop());
const frame = new Frame();
const views = new Map<Turn, TurnView>();
/** Keeps the end in sight while an answer comes, unless the reader is elsewhere. */
const follower: View & { isFollowing: boolean } = {
	isFollowing: true,
	render: () => {
		if (follower.isFollowing) {
			scrollTo({ top: document.documentElement.scrollHeight });
		}
	},
};

addEventListener("scroll", () => {
	const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
	follower.isFollowing = scrollHeight - clientHeight - scrollTop < NEAR;
});
byId("empty", HTMLElement).addEventListener("click", ({ target }) => {
	if (target instanceof HTMLButtonElement) {
		ask(target.textContent ?? "");
	}
});
byId("clear", HTMLElement).addEventListener("click", () => {
	talk.clear();
	composer.focus();
});
new TokenForm(() => void talk.goOn());
show();
void talk.goOn();

function ask(question: string): void {
	follower.isFollowing = true;
	talk.ask(question);
	composer.focus(); // the button that was pressed may be gone
}

function show(): void {
	const { turns, last } = conversation;
	for (const [turn, view] of views) {
		if (!turns.includes(turn)) {
			view.remove();
			views.delete(turn);
		}
	}
	for (const turn of turns) {
		frame.request(viewOf(turn));
	}
	byId("empty", HTMLElement).hidden = last !== undefined;
	byId("clear", HTMLElement).hidden = last === undefined;
	composer.show(talk.stage, last?.stopped ?? false);
	showStage();
	drawLast();
}

function viewOf(turn: Turn): TurnView {
	let view = views.get(turn);
	if (view === undefined) {
		view = new TurnView(turn, {
			state: () => stateOf(turn),
			request: (view) => frame.request(view),
			again: () => {
				follower.isFollowing = true;
				talk.again();
				composer.focus();
			},
		});
		views.set(turn, view);
		byId("turns", HTMLOListElement).append(view.question, view.answer);
	}
	return view;
}

function stateOf(turn: Turn): TurnState {
	const isLast = turn === conversation.last;
	return isLast
		? { stage: talk.stage, text: talk.text, isLast }
		: { stage: "ready", text: turn.text ?? "", isLast };
}

function drawLast(): void {
	const { last } = conversation;
	if (last !== undefined) {
		frame.request(viewOf(last));
		frame.request(follower);
	}
}

/** The header's state is read out: that an answer comes, not each piece of it. */
function showStage(): void {
	showPill(...STATES[talk.stage]);
	if (talk.stage !== "ready") {
		setText(byId("said", HTMLElement), "");
	}
}

/** A failure is an alert of its own. */
function sayEnd({ text = "", failure }: Turn): void {
	if (failure === undefined) {
		setText(byId("said", HTMLElement), `Answer: ${text.slice(0, MOST_SAID)}`);
	}
}
