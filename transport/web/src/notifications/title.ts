import type { ReadMarks } from "./marks.ts";
import type { NoticeFeed } from "./notices.ts";
import { countUnread, unreadText } from "./unread.ts";

/** However many notifications come, the title changes no more often than this. */
const EVERY_MS = 250;

/**
 * The number of unread notifications in the tab's title, and on the icon of an installed
 * page. A hidden tab draws no frames, and that is when its title is looked at: so this is
 * done by a timer.
 */
export class UnreadTitle {
	private readonly plain = document.title;
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(
		private readonly feed: NoticeFeed,
		private readonly marks: ReadMarks,
	) {}

	/** Brings the title up to date soon. */
	request(): void {
		this.timer ??= setTimeout(() => {
			this.timer = undefined;
			this.show(countUnread(this.feed, this.marks));
		}, EVERY_MS);
	}

	private show(unread: number): void {
		const title = unread === 0 ? this.plain : `(${unreadText(unread)}) ${this.plain}`;
		if (document.title !== title) {
			document.title = title;
			navigator.setAppBadge?.(unread).catch(() => {}); // there is no icon to show it on
		}
	}
}
