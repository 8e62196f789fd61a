import type { EventStreamOptions, StreamStorage } from "../options.ts";
import type { AnswerEvent } from "./event.ts";

/** Those of a stream that an answer has too, with the same meaning. */
type Shared =
	| "connectTimeoutMs"
	| "credentials"
	| "fetch"
	| "headers"
	| "idleTimeoutMs"
	| "onerror"
	| "ongap"
	| "onopen"
	| "onretry"
	| "onunauthorized"
	| "retry"
	| "signal";

export interface AskOptions extends Pick<EventStreamOptions, Shared> {
	/**
	 * Keeps what `resumeAnswer` needs on the next visit: the question until it has an id, from
	 * then on the id and the text. Written once a second, at the end, when it is
	 * forgotten, and when the page is left; never ahead of what was handed over.
	 */
	readonly storage?: StreamStorage;
	/** For one answer at a time. Default `ringcast:answer:` and the URL. */
	readonly storageKey?: string;
	/** The same key, question and client is the same answer. Default a random one for each call. */
	readonly idempotencyKey?: string;
	/** Where answers are. Default the folder of the URL that is asked: `/v1/ask/`. */
	readonly answers?: string | URL;
	/** Every event, in order; also gaps. */
	readonly onevent?: (event: AnswerEvent) => void;
	/** The text so far, and what was added; after a gap both are empty. */
	readonly ontext?: (text: string, added: string) => void;
}
