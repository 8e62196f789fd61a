import { byId, setText } from "../common/dom.ts";
import type { Token } from "./token.ts";

/** Asks for a token, where the gateway wants one. */
export class TokenForm {
	private readonly form = byId("token-form", HTMLFormElement);

	/** @param onToken is told when there is another */
	constructor(token: Token, onToken: () => void) {
		const field = byId("token", HTMLInputElement);
		this.form.addEventListener("submit", (event) => {
			event.preventDefault();
			token.set(field.value);
			field.value = "";
			onToken();
		});
	}

	/** Shows it, with what the gateway says; without, it hides. */
	ask(why: string): void {
		setText(byId("token-why", HTMLElement), why);
		this.form.hidden = why === "";
	}
}
