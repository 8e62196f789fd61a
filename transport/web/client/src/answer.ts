import { retryAfterMs } from "./backoff.ts";
import { Ended } from "./ended.ts";
import { StreamError } from "./errors.ts";
import { parse } from "./parse.ts";

/** How one attempt ended that is not the end of the stream; without an error where cleanly. */
export interface Lost {
	readonly error?: StreamError;
	/** The least time to the next attempt, in ms. */
	readonly floorMs?: number;
	/** The attempt was made without a network. */
	readonly offline?: boolean;
	/** It was answered 401, and there is a new token: made again at once. */
	readonly unauthorized?: boolean;
}

/** What a later request may well be spared: time-outs, rate limits, gateways, overload. */
const TRANSIENT = /408|425|429|50[2-4]/;

/**
 * Judges an answer: undefined for a stream, Lost for one to try again, and thrown where it
 * is the end. A transient status is retried whatever its body; any other JSON, an error
 * object too, is the answer: one endpoint, stream or not. What cannot be parsed is text.
 */
export async function judge(response: Response): Promise<Lost | undefined> {
	const { status, ok, headers } = response;
	const type = headers.get("content-type") ?? "";
	if (status === 204) {
		throw new Ended({ reason: "finished" });
	}
	if (ok && /^\s*text\/event-stream\s*(;|$)/i.test(type)) {
		return undefined;
	}
	const transient = TRANSIENT.test(`${status}`);
	if (!transient && /^[^;]*[/+]json\s*(;|$)/i.test(type)) {
		throw new Ended({ reason: "json", status, body: parse(await response.text()) });
	}
	const error = ok
		? new StreamError("content-type", `no event stream: "${type}"`, status)
		: new StreamError("status", `the server answered ${status}`, status);
	if (transient || status >= 500) {
		return { error, floorMs: retryAfterMs(headers) };
	}
	throw new Ended(error);
}
