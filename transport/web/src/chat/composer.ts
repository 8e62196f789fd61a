import { byId, setText } from "../common/dom.ts";
import type { Stage } from "./talk.ts";

/** Where questions are written. */
export class Composer {
	private readonly question = byId("question", HTMLTextAreaElement);
	private readonly ask = byId("ask", HTMLButtonElement);
	private readonly stop = byId("stop", HTMLButtonElement);
	private isReady = true;

	constructor(
		private readonly onQuestion: (question: string) => void,
		onStop: () => void,
	) {
		byId("composer", HTMLFormElement).addEventListener("submit", (event) => {
			event.preventDefault();
			this.submit();
		});
		this.question.addEventListener("keydown", (event) => {
			if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
				event.preventDefault();
				this.submit();
			}
		});
		this.stop.addEventListener("click", onStop);
	}

	focus(): void {
		this.question.focus({ preventScroll: true });
	}

	/** Offers what can be done now. */
	show(stage: Stage, stopped: boolean): void {
		const hadFocus = document.activeElement === this.stop;
		this.isReady = stage === "ready";
		this.ask.hidden = !this.isReady;
		this.stop.hidden = this.isReady;
		this.stop.disabled = stopped;
		setText(this.stop, stopped ? "Stopping" : "Stop");
		if (hadFocus && (this.isReady || stopped)) {
			this.focus(); // the focus would be lost with the button
		}
	}

	private submit(): void {
		const question = this.question.value.trim();
		if (question !== "" && this.isReady) {
			this.question.value = "";
			this.onQuestion(question);
		}
	}
}
