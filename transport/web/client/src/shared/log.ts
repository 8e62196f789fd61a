import type { Item } from "../body.ts";
import { order } from "./order.ts";

/** A block of a stream: what it says, and the positions before and after it. */
export interface Entry {
	readonly after: string;
	/** Equal to `after` where the block has no id of its own. */
	readonly id: string;
	readonly text: string;
}

/** Writes what was decoded as blocks again, from a position on. */
export function entriesOf(items: readonly Item[], position: string): Entry[] {
	return items.map((item) => {
		const after = position;
		position = item.id ?? after;
		return { after, id: position, text: textOf(item) };
	});
}

function textOf({ comment, id, event }: Item): string {
	if (comment !== undefined) {
		return `: ${comment}\n`; // one space is taken away again
	}
	const type = event && event.type !== "message" ? `event: ${event.type}\n` : "";
	const data = event?.data.split("\n").map((line) => `data: ${line}\n`) ?? [];
	return `${type}${data.join("")}${id === undefined ? "" : `id: ${id}\n`}\n`;
}

/** What a tab that comes back, or has another stream, finds its place in. */
const MOST_ENTRIES = 1_000;
const MOST_CHARS = 1_000_000;

/** The newest blocks of the shared stream, in each tab. */
export class Log {
	readonly #entries: Entry[] = [];
	#chars = 0;

	#start: string;

	/**
	 * @param start the position before the first entry
	 * @param snapshot whether the shared stream may have begun with the last values alone: between
	 * two of them there may have been other events
	 */
	constructor(
		start: string,
		readonly snapshot = false,
	) {
		this.#start = start;
	}

	/** Where the shared stream stands. */
	get position(): string {
		return this.#entries.at(-1)?.id ?? this.#start;
	}

	push(entry: Entry): void {
		this.#entries.push(entry);
		this.#chars += entry.text.length;
		while (this.#entries.length > MOST_ENTRIES || this.#chars > MOST_CHARS) {
			const oldest = this.#entries.shift() as Entry;
			this.#chars -= oldest.text.length;
			this.#start = oldest.id;
		}
	}

	/**
	 * What comes after a position, as far as it is here: nothing also for one that the shared
	 * stream is yet to reach. Undefined where the log does not tell what comes next.
	 */
	since(position: string): Entry[] | undefined {
		if (position === this.#start) {
			return [...this.#entries];
		}
		const at = this.#entries.findIndex(({ id }) => id === position);
		if (at >= 0) {
			return this.#entries.slice(at + 1);
		}
		const orders = this.#entries.map(({ id }) => order(id, position));
		const follows = (order(position, this.#start) ?? 0) > 0 && !orders.includes(undefined);
		return follows ? this.#entries.filter((_, i) => (orders[i] ?? 0) > 0) : undefined;
	}
}
