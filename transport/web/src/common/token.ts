import { readProblem } from "./problem.ts";
import { openStorage, type PageStorage } from "./storage.ts";

const KEY = "ringcast:token";

/**
 * The token that one has given, for a gateway that wants one. It goes with the tab, whose
 * pages share it; the gateway sees it in a header, and nobody anywhere else. One that the
 * gateway does not take, or no longer, is forgotten.
 */
export class Token {
	/** Is told that a token is wanted, and why: once, until there is another. */
	onWanted: (why: string) => void = () => {};
	private wanted = false;

	constructor(private readonly storage: PageStorage) {}

	get isHeld(): boolean {
		return this.value !== "";
	}

	give(value: string): void {
		this.wanted = false;
		this.storage.setItem(KEY, value.trim());
	}

	/**
	 * Fetches from the gateway, with the token. A 401 is the gateway's wanting another: what
	 * was asked with one that has been replaced meanwhile is asked anew.
	 */
	readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
		for (;;) {
			const { value } = this;
			const answer = await fetch(input, withToken(init, value));
			if (answer.status !== 401) {
				return answer;
			}
			const why = await readProblem(answer.clone());
			if (value === this.value) {
				this.want(why);
				return answer;
			}
		}
	};

	private want(why: string): void {
		this.storage.removeItem(KEY);
		if (!this.wanted) {
			this.wanted = true;
			this.onWanted(why);
		}
	}

	private get value(): string {
		return this.storage.getItem(KEY) ?? "";
	}
}

/** The token of this tab. */
export const token = new Token(openStorage(() => window.sessionStorage));

function withToken(init: RequestInit | undefined, value: string): RequestInit {
	const headers = new Headers(init?.headers);
	if (value !== "") {
		headers.set("Authorization", `Bearer ${value}`);
	}
	return { ...init, headers };
}
