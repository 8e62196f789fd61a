import { isLink } from "./markdown.ts";

/** What an answer refers to. */
export interface Reference {
	readonly title: string;
	readonly url: string;
}

/** How many references are shown. */
const MOST_REFERENCES = 20;

/** Reads the references of an `info` event; what leads nowhere is none. */
export function readReferences(info: unknown): Reference[] {
	const { references } = Object(info) as { references?: unknown };
	if (!Array.isArray(references)) {
		return [];
	}
	return references.slice(0, MOST_REFERENCES).flatMap((reference: unknown) => {
		const { title, url } = Object(reference) as Record<string, unknown>;
		return typeof url === "string" && isLink(url)
			? [{ title: typeof title === "string" && title !== "" ? title : url, url }]
			: [];
	});
}

/** Adds references to others, each once. */
export function addReferences(to: readonly Reference[], more: readonly Reference[]): Reference[] {
	const byUrl = new Map([...to, ...more].map((reference) => [reference.url, reference]));
	return [...byUrl.values()].slice(0, MOST_REFERENCES);
}

/** What the worker has counted of its text, for the page to compare. */
export interface Count {
	/** In hexadecimal. */
	readonly sha256: string;
	/** Of UTF-8. */
	readonly bytes: number;
}

export function readCount(info: unknown): Count | undefined {
	const { sha256, bytes } = Object(info) as Record<string, unknown>;
	return typeof sha256 === "string" && typeof bytes === "number" ? { sha256, bytes } : undefined;
}

/** Compares a text with what the worker has counted; undefined where the browser cannot (no https). */
export async function isAsCounted(text: string, count: Count): Promise<boolean | undefined> {
	const encoded = new TextEncoder().encode(text);
	const digest = await globalThis.crypto.subtle?.digest("SHA-256", encoded);
	if (digest === undefined) {
		return undefined;
	}
	const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0"));
	return encoded.length === count.bytes && hex.join("") === count.sha256.toLowerCase();
}
