/** The token that one has given, for a gateway that wants one. It goes when the page does. */
export class Token {
	private value = "";

	set(value: string): void {
		this.value = value.trim();
	}

	/** What a request has to have for it. */
	headers(): Record<string, string> {
		return this.value === "" ? {} : { Authorization: `Bearer ${this.value}` };
	}
}
