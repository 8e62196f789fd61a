import { Alarm } from "../alarm.ts";
import { BodyDecoder, type Item } from "../body.ts";
import { entriesOf } from "./log.ts";
import type { Head, Notice } from "./messages.ts";

/** How a relay makes the request it was given. */
export type Ask = (signal: AbortSignal) => Promise<Response>;

/**
 * The one connection: reads a stream and tells all tabs. It makes one attempt for each `open`;
 * retries, tokens and the end are the business of the streams in the tabs.
 */
export class Relay {
	readonly id = Math.random().toString(36).slice(2);
	private head: Head | undefined;
	private position = "";
	/** Ends the attempt under way. */
	private attempt: AbortController | undefined;

	/** @param post tells all tabs, or, where `privately`, the one whose request it was */
	constructor(private readonly post: (notice: Notice, privately?: boolean) => void) {}

	/** Whether an attempt is under way, or a stream open. */
	get busy(): boolean {
		return this.attempt !== undefined;
	}

	/**
	 * Makes an attempt, unless one is under way.
	 * @param signal gives the attempt up as long as it was not answered
	 */
	async open(
		position: string,
		idleTimeoutMs: number,
		signal: AbortSignal,
		ask: Ask,
	): Promise<void> {
		if (this.busy || signal.aborted) {
			return;
		}
		const attempt = new AbortController();
		this.attempt = attempt;
		const giveUp = () => this.head ?? attempt.abort();
		signal.addEventListener("abort", giveUp);
		try {
			const response = await ask(attempt.signal);
			if (isStream(response)) {
				this.position = position;
				this.head = headOf(response);
				this.post({ kind: "open", relay: this.id, position, head: this.head });
				await this.read(response, attempt, idleTimeoutMs);
				this.lost(attempt, "ended");
			} else {
				await this.answer(response, attempt);
			}
		} catch (error) {
			this.lost(attempt, "failed", String(error));
		} finally {
			signal.removeEventListener("abort", giveUp);
			attempt.abort();
		}
	}

	state(): Notice {
		return { kind: "state", relay: this.id, position: this.position, head: this.head };
	}

	/** Has the tabs ask anew, at once. */
	restart(): void {
		const { attempt } = this;
		this.forget();
		attempt?.abort();
		this.post({ kind: "lost", relay: this.id, how: "restarted", why: "" });
	}

	/** Ends the connection without a word. */
	close(): void {
		const { attempt } = this;
		this.forget();
		attempt?.abort();
	}

	private async read(response: Response, attempt: AbortController, idleTimeoutMs: number) {
		let retry: number | undefined;
		const decoder = new BodyDecoder((ms) => {
			retry = ms;
		});
		const alarm = new Alarm();
		alarm.limit(idleTimeoutMs, () => attempt.abort(new Error(`no byte in ${idleTimeoutMs} ms`)));
		attempt.signal.addEventListener("abort", () => alarm.stop());
		const body = response.body?.getReader();
		for (;;) {
			const chunk = await body?.read();
			if (attempt !== this.attempt || chunk === undefined || chunk.done) {
				return;
			}
			alarm.feed();
			retry = undefined;
			const items = decoder.decode(chunk.value);
			this.tell(items, retry);
		}
	}

	private tell(items: Item[], retry: number | undefined): void {
		const entries = entriesOf(items, this.position);
		this.position = entries.at(-1)?.id ?? this.position;
		if (this.head !== undefined && retry !== undefined) {
			this.head = { ...this.head, retry };
		}
		this.post({ kind: "entries", relay: this.id, entries, retry });
	}

	/** A 401 is for the tab alone whose request it was: one renews the token, not all. */
	private async answer(response: Response, attempt: AbortController): Promise<void> {
		const body = await response.text();
		if (attempt === this.attempt) {
			this.forget();
			const notice: Notice = { kind: "answer", relay: this.id, head: headOf(response), body };
			this.post(notice, response.status === 401);
		}
	}

	private lost(attempt: AbortController, how: "ended" | "failed", why = ""): void {
		if (attempt === this.attempt) {
			this.forget();
			this.post({ kind: "lost", relay: this.id, how, why });
		}
	}

	private forget(): void {
		this.attempt = undefined;
		this.head = undefined;
	}
}

export function isStream(response: Response): boolean {
	const type = response.headers.get("content-type") ?? "";
	return response.ok && response.status !== 204 && /^\s*text\/event-stream\s*(;|$)/i.test(type);
}

export function headOf(response: Response): Head {
	return { status: response.status, headers: [...response.headers] };
}
