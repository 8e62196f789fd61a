import { Alarm } from "../alarm.ts";
import { BodyDecoder } from "../body.ts";
import { type Entry, entriesOf } from "./log.ts";
import type { Head, Notice } from "./messages.ts";

/** How a relay makes the request it was given. */
export type Ask = (signal: AbortSignal) => Promise<Response>;

/**
 * The one connection: reads a stream and tells all tabs. It makes one attempt for each `open`;
 * retries, tokens and the end are the business of the streams in the tabs.
 */
export class Relay {
	readonly id = Math.random().toString(36).slice(2);
	#head: Head | undefined;
	#position = "";
	/** Ends the attempt under way. */
	#attempt: AbortController | undefined;

	readonly #post: (notice: Notice, privately?: boolean) => void;

	/** @param post tells all tabs, or, where `privately`, the one whose request it was */
	constructor(post: (notice: Notice, privately?: boolean) => void) {
		this.#post = post;
	}

	/** Whether an attempt is under way, or a stream open. */
	get busy(): boolean {
		return this.#attempt !== undefined;
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
		this.#attempt = attempt;
		const giveUp = () => this.#head ?? attempt.abort();
		signal.addEventListener("abort", giveUp);
		try {
			const response = await ask(attempt.signal);
			if (attempt !== this.#attempt) {
				return; // closed in the turn in which it was answered
			}
			if (isStream(response)) {
				this.#position = position;
				this.#head = { ...headOf(response), fresh: position === "" };
				this.#post({ kind: "open", relay: this.id, position, head: this.#head });
				await this.#read(response, attempt, idleTimeoutMs);
				this.#lost(attempt, "ended");
			} else {
				await this.#answer(response, attempt);
			}
		} catch (error) {
			this.#lost(attempt, "failed", String(error));
		} finally {
			signal.removeEventListener("abort", giveUp);
			attempt.abort();
		}
	}

	state(): Notice {
		return { kind: "state", relay: this.id, position: this.#position, head: this.#head };
	}

	/** Has the tabs ask anew, at once. */
	restart(): void {
		this.close();
		this.#post({ kind: "lost", relay: this.id, how: "restarted", why: "" });
	}

	/** Ends the connection without a word. */
	close(): void {
		const attempt = this.#attempt;
		this.#forget();
		attempt?.abort();
	}

	async #read(response: Response, attempt: AbortController, idleTimeoutMs: number) {
		const decoder = new BodyDecoder((ms) => {
			const position = this.#position;
			this.#tell([{ after: position, id: position, text: `retry: ${ms}\n` }]);
		});
		const alarm = new Alarm();
		alarm.limit(idleTimeoutMs, () => attempt.abort(new Error(`no byte in ${idleTimeoutMs} ms`)));
		attempt.signal.addEventListener("abort", () => alarm.stop());
		const body = response.body?.getReader();
		for (;;) {
			const chunk = await body?.read();
			if (attempt !== this.#attempt || chunk === undefined || chunk.done) {
				return;
			}
			alarm.feed();
			const items = decoder.decode(chunk.value);
			this.#tell(entriesOf(items, this.#position));
		}
	}

	#tell(entries: Entry[]): void {
		this.#position = entries.at(-1)?.id ?? this.#position;
		this.#post({ kind: "entries", relay: this.id, entries });
	}

	/** A 401 is for the tab alone whose request it was: one renews the token, not all. */
	async #answer(response: Response, attempt: AbortController): Promise<void> {
		const body = await response.text();
		if (attempt === this.#attempt) {
			this.#forget();
			const notice: Notice = { kind: "answer", relay: this.id, head: headOf(response), body };
			this.#post(notice, response.status === 401);
		}
	}

	#lost(attempt: AbortController, how: "ended" | "failed", why = ""): void {
		if (attempt === this.#attempt) {
			this.#forget();
			this.#post({ kind: "lost", relay: this.id, how, why });
		}
	}

	#forget(): void {
		this.#attempt = undefined;
		this.#head = undefined;
	}
}

/** Near enough: what a content type is exactly, the stream that gets the answer judges. */
export function isStream({ ok, body, headers }: Response): boolean {
	return ok && body !== null && /text\/event-stream/i.test(headers.get("content-type") ?? "");
}

export function headOf(response: Response): Head {
	return { status: response.status, headers: [...response.headers] };
}
