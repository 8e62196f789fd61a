import { GAP_TYPE } from "../gap.ts";
import type { StreamEvent } from "../options.ts";

/** One event of an answer; see "Ask" in PROTOCOL.md. */
export interface AnswerEvent {
	/**
	 * `ask`, `add`, `info`, `finish`, `error`, or what else the worker sends. After
	 * `ringcast.gap` the answer comes again from its beginning.
	 */
	readonly type: string;
	readonly data: string;
	/** The data, parsed; undefined where it is not JSON, and of `add`, which is text. */
	readonly json?: unknown;
	/** The id to resume from after this event. */
	readonly id: string;
}

/** Reads an event in format `json`, in which a payload has every byte that the worker wrote. */
export function readEvent({ type, data: whole, lastEventId: id }: StreamEvent): AnswerEvent {
	if (type === GAP_TYPE) {
		return { type, data: whole, json: parseJson(whole), id };
	}
	const { data = "", data_base64: base64 } = Object(parseJson(whole)) as Partial<
		Record<"data" | "data_base64", string>
	>;
	const text = base64 === undefined ? data : fromBase64(base64);
	return { type, data: text, json: type === "add" ? undefined : parseJson(text), id };
}

/** What is not UTF-8 is no text; what can be shown of it is. */
function fromBase64(base64: string): string {
	return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
}

export function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
