import type { Notice, NoticeFeed } from "../notices.ts";
import { byId, cloneTemplate, find, setText } from "./dom.ts";
import { formatTime } from "./format.ts";
import type { View } from "./frame.ts";

/** How many hues the users' marks have in the style sheet. */
const HUES = 6;

/** The list of notifications, newest first. */
export class FeedView implements View {
	private readonly list = byId("feed", HTMLOListElement);
	private readonly shown = new Map<Notice, HTMLLIElement>();

	constructor(private readonly feed: NoticeFeed) {}

	render(): void {
		const notices = this.feed.all();
		const kept = new Set(notices);
		for (const [notice, item] of this.shown) {
			if (!kept.has(notice)) {
				item.remove();
				this.shown.delete(notice);
			}
		}
		const fresh = notices.filter((notice) => !this.shown.has(notice));
		this.list.prepend(...fresh.map((notice) => this.item(notice)));
		this.list.hidden = notices.length === 0;
		byId("feed-empty", HTMLElement).hidden = notices.length > 0;
	}

	private item(notice: Notice): HTMLLIElement {
		const item = cloneTemplate("notice-template", HTMLLIElement);
		const avatar = find(item, ".avatar", HTMLElement);
		setText(avatar, (Array.from(notice.user)[0] ?? "•").toUpperCase());
		avatar.dataset["hue"] = String(hue(notice.user));
		setText(find(item, ".notification-title", HTMLElement), notice.title);
		setText(find(item, ".notification-body", HTMLElement), notice.body);
		setText(find(item, ".notification-user", HTMLElement), notice.user);
		setText(find(item, "code", HTMLElement), notice.id);
		const time = find(item, "time", HTMLTimeElement);
		if (!Number.isNaN(notice.time)) {
			time.dateTime = new Date(notice.time).toISOString();
			setText(time, formatTime(notice.time));
		}
		this.shown.set(notice, item);
		return item;
	}
}

/** The same hue for the same user, whichever came first. */
function hue(user: string): number {
	let sum = 0;
	for (const c of user) {
		sum = (sum * 31 + (c.codePointAt(0) ?? 0)) % 9973;
	}
	return sum % HUES;
}
