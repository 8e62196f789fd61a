import { cloneTemplate, find, setText } from "../common/dom.ts";
import { formatCount, plural } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import { AnswerText } from "./answer-text.ts";
import type { Turn } from "./conversation.ts";
import { failureText } from "./failure.ts";
import { isAsCounted } from "./info.ts";
import { pointTo } from "./markup.ts";
import type { Stage } from "./talk.ts";

/** How much of the time showing an answer may take. */
const SHARE = 0.25;

/** How long a button says that it has copied. */
const COPIED_MS = 2_000;

const WAITS_FOR: Readonly<Record<Stage, string>> = {
	ready: "",
	asking: "Waiting for the worker",
	answering: "Answering",
	returning: "The connection is lost. It comes back by itself, and the answer goes on",
};

/** What a turn's view shows besides the turn itself. */
export interface TurnState {
	/** `ready` for all but a last turn whose answer comes. */
	readonly stage: Stage;
	/** The text so far. */
	readonly text: string;
	/** Whether it can be asked again: the last one. */
	readonly isLast: boolean;
}

/** What a view is told, and tells. */
export interface TurnContext {
	readonly state: () => TurnState;
	/** Asks for another render. */
	readonly request: (view: View) => void;
	/** The reader wants another answer. */
	readonly again: () => void;
}

/** One question with its answer. */
export class TurnView implements View {
	readonly question = cloneTemplate("question-template", HTMLLIElement);
	readonly answer = cloneTemplate("answer-template", HTMLLIElement);

	private readonly text = new AnswerText(find(this.answer, ".text", HTMLElement));
	private readonly waiting = find(this.answer, ".waiting", HTMLElement);
	private readonly references = find(this.answer, ".references", HTMLElement);
	private readonly failure = find(this.answer, ".failure", HTMLElement);
	private readonly tools = find(this.answer, ".tools", HTMLElement);
	private readonly fact = find(this.answer, ".fact", HTMLElement);
	private shown: string | undefined;
	private isWhole = false;
	/** The text may be shown again then. */
	private notBefore = 0;

	constructor(
		private readonly turn: Turn,
		private readonly context: TurnContext,
	) {
		setText(find(this.question, ".text", HTMLElement), turn.question);
		find(this.tools, ".again", HTMLButtonElement).addEventListener("click", context.again);
		const copy = find(this.tools, ".copy", HTMLButtonElement);
		copy.addEventListener("click", () => void this.copy(copy));
	}

	remove(): void {
		this.question.remove();
		this.answer.remove();
	}

	render(): void {
		const state = this.context.state();
		this.showText(state);
		this.showReferences();
		const { failure } = this.turn;
		this.waiting.hidden = state.stage === "ready";
		setText(find(this.waiting, ".waits-for", HTMLElement), this.waitsFor(state));
		this.failure.hidden = failure === undefined;
		setText(this.failure, failure === undefined ? "" : failureText(failure));
		this.tools.hidden = state.stage !== "ready";
		find(this.tools, ".copy", HTMLElement).hidden = state.text === "";
		const again = find(this.tools, ".again", HTMLElement);
		again.hidden = !state.isLast;
		setText(again, failure === undefined ? "Regenerate" : "Try again");
	}

	/** A text that takes long to show is shown more seldom. */
	private showText({ stage, text }: TurnState): void {
		const isWhole = stage === "ready";
		if (text === this.shown && isWhole === this.isWhole) {
			return;
		}
		const begun = performance.now();
		if (!isWhole && begun < this.notBefore) {
			this.context.request(this);
			return;
		}
		if (isWhole) {
			this.text.showWhole(text);
			void this.showFact(text);
		} else {
			this.text.show(text);
		}
		this.shown = text;
		this.isWhole = isWhole;
		const ended = performance.now();
		this.notBefore = ended + (ended - begun) * (1 / SHARE - 1);
	}

	/** The text as the worker wrote it, not what became of it. */
	private async copy(button: HTMLButtonElement): Promise<void> {
		try {
			await navigator.clipboard.writeText(this.context.state().text);
			setText(button, "Copied");
		} catch {
			setText(button, "The browser does not allow it");
		}
		setTimeout(() => setText(button, "Copy"), COPIED_MS);
	}

	private waitsFor({ stage }: TurnState): string {
		return this.turn.stopped && stage === "answering" ? "Stopping" : WAITS_FOR[stage];
	}

	private showReferences(): void {
		const { references } = this.turn;
		this.references.hidden = references.length === 0;
		const list = find(this.references, "ol", HTMLOListElement);
		if (list.children.length === references.length) {
			return;
		}
		list.replaceChildren(
			...references.map(({ title, url }) => {
				const link = document.createElement("a");
				pointTo(link, url);
				link.textContent = title;
				const item = document.createElement("li");
				item.append(link);
				return item;
			}),
		);
	}

	/** Says what is known of the text: that it is the worker's, byte for byte, if it is. */
	private async showFact(text: string): Promise<void> {
		const { count, resumes, stopped, failure } = this.turn;
		const facts = [plural(new TextEncoder().encode(text).length, "byte")];
		if (stopped && failure === undefined) {
			facts.push("stopped");
		} else if (count !== undefined && failure === undefined) {
			const same = await isAsCounted(text, count);
			facts.push(same === undefined ? "" : same ? "the worker’s text, byte for byte" : NOT_SAME);
		}
		if (resumes > 0) {
			facts.push(`resumed ${resumes === 1 ? "once" : `${formatCount(resumes)} times`}`);
		}
		this.fact.dataset["same"] = String(!facts.includes(NOT_SAME));
		setText(this.fact, text === "" ? "" : facts.filter(Boolean).join(" · "));
	}
}

const NOT_SAME = "not the worker’s text";
