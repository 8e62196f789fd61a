import type { StreamError, StreamEvent } from "../src/index.ts";

export type Log = (line: string) => void;

/** How long the harness may take to answer a report. */
const PATIENCE_MS = 10_000;

/**
 * Reports what a client hands over, in order: each report once the one before has been
 * answered. One that the harness refuses is logged and not sent again.
 */
export class Callbacks {
	private sent = 0;
	private last = Promise.resolve();

	/** @param life nothing is reported after it has been aborted */
	constructor(
		private readonly url: string,
		private readonly life: AbortSignal,
		private readonly log: Log,
	) {}

	event({ type, data, lastEventId: id }: StreamEvent): void {
		this.report({ kind: "event", event: { type, data, id } });
	}

	comment(comment: string): void {
		this.report({ kind: "comment", comment });
	}

	error({ message }: StreamError): void {
		this.report({ kind: "error", error: message });
	}

	/** Resolves when all that has been reported so far is answered, or given up. */
	get answered(): Promise<void> {
		return this.last;
	}

	private report(what: object): void {
		const number = ++this.sent;
		this.last = this.last.then(async () => {
			try {
				this.life.throwIfAborted();
				await this.post(number, what);
			} catch (error) {
				if (!this.life.aborted) {
					this.log(`callback ${number} failed: ${(error as Error).cause ?? error}`);
				}
			}
		});
	}

	private async post(number: number, what: object): Promise<void> {
		const attempt = new AbortController();
		const late = () => attempt.abort(new Error(`no answer within ${PATIENCE_MS} ms`));
		const timer = setTimeout(late, PATIENCE_MS);
		const end = () => attempt.abort();
		this.life.addEventListener("abort", end);
		try {
			const answer = await fetch(`${this.url.replace(/\/$/, "")}/${number}`, {
				method: "POST",
				headers: { "Content-Type": "application/json" },
				body: JSON.stringify(what),
				signal: attempt.signal,
			});
			await answer.body?.cancel();
			if (!answer.ok) {
				throw new Error(`the harness answered ${answer.status}`);
			}
		} finally {
			clearTimeout(timer);
			this.life.removeEventListener("abort", end);
		}
	}
}
