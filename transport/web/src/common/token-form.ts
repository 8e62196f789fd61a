import { byId, setText } from "./dom.ts";
import { token } from "./token.ts";

/** Asks for a token where the gateway wants one, and for another where one wishes. */
export class TokenForm {
	private readonly form = byId("token-form", HTMLFormElement);
	private readonly field = byId("token", HTMLInputElement);
	private readonly replace = byId("token-replace", HTMLButtonElement);

	/** @param onToken is told when there is another */
	constructor(onToken: () => void) {
		token.onWanted = (why) => {
			this.show(`The gateway refuses: ${why}`);
			if (!takesText(document.activeElement)) {
				this.field.focus();
			}
		};
		this.replace.addEventListener("click", () => {
			if (this.form.hidden) {
				this.show("Another token takes the place of the one that this tab has.");
				this.field.focus();
			} else {
				this.hide();
			}
		});
		this.form.addEventListener("submit", (event) => {
			event.preventDefault();
			token.give(this.field.value);
			this.hide();
			onToken();
		});
		this.hide();
	}

	private show(why: string): void {
		this.form.hidden = false;
		setText(byId("token-why", HTMLElement), why);
		this.showReplace();
	}

	private hide(): void {
		this.form.hidden = true;
		this.field.value = "";
		this.field.blur();
		setText(byId("token-why", HTMLElement), "");
		this.showReplace();
	}

	private showReplace(): void {
		this.replace.hidden = !token.isHeld;
		this.replace.setAttribute("aria-expanded", String(!this.form.hidden));
	}
}

/** Whether somebody may be typing there. */
function takesText(element: Element | null): boolean {
	return element?.matches("input, select, textarea") ?? false;
}
