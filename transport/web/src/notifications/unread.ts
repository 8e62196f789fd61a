import type { ReadMarks } from "./marks.ts";
import { MAX_NOTICES, type NoticeFeed } from "./notices.ts";

export function countUnread(feed: NoticeFeed, marks: ReadMarks): number {
	return feed.all().filter((notice) => !marks.isRead(notice.id)).length;
}

/** The number in words: of those that are no longer in the list nobody knows. */
export function unreadText(unread: number): string {
	return unread === MAX_NOTICES ? `${unread}+` : `${unread}`;
}
