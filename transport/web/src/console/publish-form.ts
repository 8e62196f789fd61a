import { byId, setText } from "../common/dom.ts";
import { Publisher } from "./publish.ts";

/** The box that publishes. */
export class PublishForm {
	private readonly form = byId("publish", HTMLFormElement);
	private readonly subject = byId("publish-subject", HTMLInputElement);
	private readonly type = byId("publish-type", HTMLInputElement);
	private readonly data = byId("publish-data", HTMLTextAreaElement);
	private readonly end = byId("publish-end", HTMLInputElement);
	private readonly button = byId("publish-send", HTMLButtonElement);
	private readonly answer = byId("publish-answer", HTMLElement);
	private readonly publisher = new Publisher();

	constructor() {
		this.form.addEventListener("submit", (event) => {
			event.preventDefault();
			void this.publish();
		});
		this.data.addEventListener("keydown", (event) => {
			if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
				event.preventDefault();
				this.form.requestSubmit();
			}
		});
	}

	private async publish(): Promise<void> {
		this.button.disabled = true;
		try {
			const { id, duplicate } = await this.publisher.publish({
				subject: this.subject.value.trim(),
				type: this.type.value,
				data: this.data.value,
				end: this.end.checked,
			});
			this.say("done", duplicate ? `Stored before as ${id}` : `Stored as ${id}`);
		} catch (error) {
			this.say("refused", error instanceof Error ? error.message : String(error));
		} finally {
			this.button.disabled = false;
		}
	}

	private say(state: "done" | "refused", text: string): void {
		this.answer.dataset["state"] = state;
		setText(this.answer, text);
	}
}
