import { problemDetail } from "../common/problem.ts";
import { token } from "../common/token.ts";

/** What one publishes. */
export interface Draft {
	readonly subject: string;
	/** Empty for none. */
	readonly type: string;
	readonly data: string;
	/** The last event of its subject. */
	readonly end: boolean;
}

/** The gateway's answer. */
export interface Ack {
	readonly id: string;
	/** It was there before: this was a repetition. */
	readonly duplicate: boolean;
}

const ANSWER_MS = 30_000;

/**
 * Publishes drafts. One whose answer was lost is repeated under the same key, so that it
 * is not stored twice.
 */
export class Publisher {
	private unanswered: { readonly draft: string; readonly key: string } | undefined;

	/** Throws an Error that says in words why the event was not stored, or may not be. */
	async publish(draft: Draft): Promise<Ack> {
		const text = JSON.stringify(draft);
		const key = this.unanswered?.draft === text ? this.unanswered.key : randomKey();
		this.unanswered = { draft: text, key };
		const answer = await post(draft, key);
		if (answer.ok || answer.status < 500) {
			this.unanswered = undefined;
		}
		const body: unknown = await answer.json().catch(() => undefined);
		if (!answer.ok) {
			throw new Error(problemDetail(body) ?? `the gateway answered ${answer.status}`);
		}
		return body as Ack;
	}
}

async function post(draft: Draft, key: string): Promise<Response> {
	const headers = new Headers({ "Idempotency-Key": key });
	try {
		if (draft.type !== "") {
			headers.set("Ringcast-Event", utf8Header(draft.type));
		}
		if (draft.end) {
			headers.set("Ringcast-End", "true");
		}
		return await token.fetch(`v1/publish/${encodeURIComponent(draft.subject)}`, {
			method: "POST",
			body: draft.data,
			headers,
			signal: AbortSignal.timeout(ANSWER_MS),
		});
	} catch (cause) {
		throw new Error(
			"The gateway did not answer. Publish again: it is not stored twice within two minutes.",
			{ cause },
		);
	}
}

/** A header is bytes to fetch, one for each character: these are those of UTF-8. */
function utf8Header(text: string): string {
	return String.fromCharCode(...new TextEncoder().encode(text));
}

/** randomUUID is for secure contexts only, and a gateway may be reached by plain HTTP. */
function randomKey(): string {
	return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}
