import { hex } from "./hex.ts";
import { indent, members } from "./json.ts";

/** An event as the console shows it. */
export interface ConsoleEvent {
	readonly id: string;
	readonly subject: string;
	readonly type: string;
	/** RFC 3339, to the nanosecond; empty where the id carries no time. */
	readonly time: string;
	readonly payload: Payload;
}

/**
 * - `json`: its text, without white space between tokens
 * - `text`: any other UTF-8
 * - `binary`: any other bytes
 */
export type Payload =
	| { readonly kind: "json" | "text"; readonly text: string; readonly size: number }
	| { readonly kind: "binary"; readonly bytes: Uint8Array; readonly size: number };

/** How much of a payload a row has: more would not be seen. */
const PREVIEW = 300;
const PREVIEW_BYTES = 32;

const encoder = new TextEncoder();

/** Reads an event in the format of CloudEvents, as a gateway writes it. */
export function readEvent(cloudEvent: string): ConsoleEvent {
	const found = members(cloudEvent);
	const text = (name: string) => JSON.parse(found.get(name) ?? '""') as string;
	return {
		id: text("id"),
		subject: text("subject"),
		type: text("type"),
		time: text("time"),
		payload: readPayload(found, text),
	};
}

function readPayload(found: Map<string, string>, text: (name: string) => string): Payload {
	if (found.has("data_base64")) {
		const bytes = Uint8Array.from(atob(text("data_base64")), (c) => c.charCodeAt(0));
		return { kind: "binary", bytes, size: bytes.length };
	}
	const json = text("datacontenttype") === "application/json";
	const payload = json ? (found.get("data") ?? "") : text("data");
	return { kind: json ? "json" : "text", text: payload, size: encoder.encode(payload).length };
}

/** The beginning of a payload, for one line. */
export function preview(payload: Payload): string {
	return payload.kind === "binary"
		? hex(payload.bytes.subarray(0, PREVIEW_BYTES))
		: payload.text.slice(0, PREVIEW).replace(/\s+/g, " ");
}

/** A payload as one reads it: JSON is broken into lines. */
export function readable(payload: Payload & { readonly kind: "json" | "text" }): string {
	return payload.kind === "json" ? indent(payload.text) : payload.text;
}
