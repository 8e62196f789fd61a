import { StreamError } from "../errors.ts";

/** Why an answer is not whole. */
export class AskError extends Error {
	override readonly name = "AskError";

	constructor(
		/**
		 * As the gateway or the worker says it in an `error` event or a refusal (see "Ask" in
		 * PROTOCOL.md), `refused` where that names none, `closed` after `close()` or the signal, `gap`
		 * where the answer has lost events for good, or the code of the StreamError that is the cause.
		 */
		readonly reason: string,
		/** What the gateway or the worker says of it, for a reader; may be empty. */
		readonly detail: string,
		/** Of the answer to the request, or what an `error` event says. */
		readonly status?: number,
		/** The whole of the `error` event or of the refusal: what a worker says besides. */
		readonly data?: unknown,
		cause?: unknown,
	) {
		super(detail === "" ? reason : `${reason}: ${detail}`, { cause });
	}
}

/** Of what an `error` event, a problem (RFC 9457) or a worker's own JSON says. */
export function saidBy(data: unknown, status?: number, otherwise = "refused"): AskError {
	const said = Object(data) as Record<string, unknown>;
	const text = (...names: string[]) =>
		names.map((name) => said[name]).find((value) => typeof value === "string") as
			| string
			| undefined;
	const { status: own = status } = said;
	return new AskError(
		text("reason") ?? otherwise,
		text("detail", "title", "message") ?? (typeof data === "string" ? data : ""),
		typeof own === "number" ? own : status,
		data,
	);
}

/** Of what ended a stream for want of an answer. */
export function causedBy(cause: unknown): AskError {
	const { code, message, status } = cause as StreamError;
	return cause instanceof StreamError
		? new AskError(code, message, status, undefined, cause)
		: new AskError("setup", String(cause), undefined, undefined, cause);
}
