import { byId, cloneTemplate, find, setText } from "../common/dom.ts";
import { formatWhen } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import type { EventId } from "../common/ids.ts";
import type { ReadMarks } from "./marks.ts";
import type { Notice, NoticeFeed } from "./notices.ts";
import { countUnread, unreadText } from "./unread.ts";

/** The list of notifications, newest first, and how many are unread. */
export class FeedView implements View {
	/** Is told that the reader has read one. */
	onRead: (id: EventId) => void = () => {};

	private readonly list = byId("feed", HTMLOListElement);
	private readonly items = new Map<Notice, Item>();

	constructor(
		private readonly feed: NoticeFeed,
		private readonly marks: ReadMarks,
	) {
		this.list.addEventListener("click", (e) => this.clicked(e));
	}

	render(): void {
		const notices = this.feed.all();
		this.removeAllBut(new Set(notices));
		let previous: Element | undefined;
		for (const notice of notices) {
			const item = this.item(notice);
			item.show(this.marks.isRead(notice.id));
			this.place(item.element, previous);
			previous = item.element;
		}
		this.list.hidden = notices.length === 0;
		byId("feed-empty", HTMLElement).hidden = notices.length > 0;
		this.showUnread(countUnread(this.feed, this.marks));
	}

	private removeAllBut(kept: ReadonlySet<Notice>): void {
		for (const [notice, item] of this.items) {
			if (!kept.has(notice)) {
				item.element.remove();
				this.items.delete(notice);
			}
		}
	}

	private item(notice: Notice): Item {
		let item = this.items.get(notice);
		if (item === undefined) {
			item = new Item(notice);
			this.items.set(notice, item);
		}
		return item;
	}

	/** Puts an element behind another, touching the document only where it is not there. */
	private place(element: Element, previous: Element | undefined): void {
		const next = previous === undefined ? this.list.firstElementChild : previous.nextElementSibling;
		if (next !== element) {
			this.list.insertBefore(element, next);
		}
	}

	private showUnread(unread: number): void {
		setText(
			byId("unread", HTMLElement),
			unread === 0 ? "All read" : `${unreadText(unread)} unread`,
		);
		byId("read-all", HTMLButtonElement).disabled = unread === 0;
	}

	private clicked(e: MouseEvent): void {
		const button = e.target instanceof Element ? e.target.closest("button") : null;
		const id = button?.closest("li")?.dataset["id"];
		if (id !== undefined) {
			this.onRead(id);
			this.list.focus(); // the button goes, and the focus would be lost with it
		}
	}
}

/** One notification. */
class Item {
	readonly element = cloneTemplate("notice-template", HTMLLIElement);
	private readonly button = find(this.element, "button", HTMLButtonElement);
	private readonly marker = find(this.element, ".marker", HTMLElement);

	constructor(notice: Notice) {
		this.element.dataset["id"] = notice.id;
		setText(find(this.element, ".notification-title", HTMLElement), notice.title);
		setText(find(this.element, ".notification-body", HTMLElement), notice.body);
		setText(find(this.element, "code", HTMLElement), notice.id);
		this.button.setAttribute("aria-label", `Mark read: ${notice.title}`);
		const time = find(this.element, "time", HTMLTimeElement);
		if (!Number.isNaN(notice.time)) {
			time.dateTime = new Date(notice.time).toISOString();
			setText(time, formatWhen(notice.time, Date.now()));
		}
	}

	show(isRead: boolean): void {
		if (this.button.hidden !== isRead || this.element.dataset["read"] === undefined) {
			this.element.dataset["read"] = String(isRead);
			this.button.hidden = isRead;
			setText(this.marker, isRead ? "" : "Unread");
		}
	}
}
