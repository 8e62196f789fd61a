import { parseJson } from "./event.ts";

/** A question that no gateway has confirmed: asked again under its key, it is the same. */
export interface Unconfirmed {
	readonly key: string;
	/** The question, JSON. */
	readonly body: string;
}

/** An answer as far as it has come: everything after `last` is missing in `text`. */
export interface Begun {
	readonly id: string;
	readonly last: string;
	readonly text: string;
}

/** Reads what was kept; undefined where there is nothing, or nothing of ours. */
export function readRecord(kept: string): Unconfirmed | Begun | undefined {
	const record = Object(parseJson(kept)) as Unconfirmed & Begun;
	const has = (...names: (keyof typeof record)[]) =>
		names.every((name) => typeof record[name] === "string");
	return has("key", "body") || has("id", "last", "text") ? record : undefined;
}
