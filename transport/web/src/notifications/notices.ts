import { compareIds, type EventId } from "../common/ids.ts";

/** What a producer publishes on events.notify.<user>. */
export interface Notice {
	readonly id: EventId;
	readonly user: string;
	readonly title: string;
	readonly body: string;
	/** Milliseconds since the Unix epoch, or NaN where the producer said nothing. */
	readonly time: number;
}

/** How many notices are kept. */
export const MAX_NOTICES = 200;

/** The longest text that is shown of each field, in UTF-16 code units. */
const MAX_TEXT = 500;

/**
 * Reads a notification. Anything can be published by hand, so data that is not the
 * JSON object expected is shown as it is.
 */
export function parseNotice(id: EventId, data: string): Notice {
	let value: unknown;
	try {
		value = JSON.parse(data);
	} catch {
		value = undefined;
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		return { id, user: "", title: shorten(data), body: "", time: Number.NaN };
	}
	const fields = value as Record<string, unknown>;
	const text = (name: string) => {
		const field = fields[name];
		return typeof field === "string" ? shorten(field) : "";
	};
	const notice = { id, user: text("user"), title: text("title"), body: text("body") };
	if (notice.title === "" && notice.body === "") {
		notice.title = shorten(data);
	}
	return { ...notice, time: Date.parse(text("time")) };
}

function shorten(text: string): string {
	return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

/** The newest notices, newest first, each once: the log and the stream may both bring one. */
export class NoticeFeed {
	private readonly notices: Notice[] = [];

	/** Inserts a notice where its id belongs, at the front as a rule. */
	add(notice: Notice): void {
		const found = this.notices.findIndex((n) => compareIds(n.id, notice.id) <= 0);
		const at = found < 0 ? this.notices.length : found;
		if (this.notices[at]?.id !== notice.id) {
			this.notices.splice(at, 0, notice);
			this.notices.splice(MAX_NOTICES);
		}
	}

	/** Forgets them all: the log began anew, and so do its ids. */
	clear(): void {
		this.notices.length = 0;
	}

	all(): readonly Notice[] {
		return this.notices;
	}
}
