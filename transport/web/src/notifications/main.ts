import type { Gap, StreamEvent } from "#client";
import { byId, setText } from "../common/dom.ts";
import { Frame } from "../common/frame.ts";
import type { EventId } from "../common/ids.ts";
import { readLog } from "../common/log.ts";
import { problemDetail } from "../common/problem.ts";
import { openStorage } from "../common/storage.ts";
import { token } from "../common/token.ts";
import { TokenForm } from "../common/token-form.ts";
import { Channel } from "./channel.ts";
import { FeedView } from "./feed.ts";
import { ReadMarks } from "./marks.ts";
import { NoticeFeed, parseNotice } from "./notices.ts";
import { ProofView } from "./proof.ts";
import { MAX_SPAN } from "./span.ts";
import { UnreadTitle } from "./title.ts";

const user = new URLSearchParams(location.search).get("user") || "alice";
const subject = `events.notify.${user}`;
const positionKey = `ringcast:notifications:position:${user}`;
const marksKey = `ringcast:notifications:read:${user}`;

/** Where the first visit begins. */
const FIRST_FROM = "15m";
/** How far back a later visit shows what it had shown before, and at most how much. */
const HISTORY_FROM = "1h";
const HISTORY_MOST = 10_000;

/** How often the last id is shown anew: a quiet stream's moves on without events. */
const ID_MS = 1_000;

const storage = openStorage(() => window.localStorage);
const frame = new Frame();
const feed = new NoticeFeed();
const marks = new ReadMarks(storage, marksKey);
const feedView = new FeedView(feed, marks);
const channel = new Channel({
	request: { subjects: subject, from: FIRST_FROM, storage, storageKey: positionKey },
	readIds,
	onEvent: take,
	onGap: startAnew,
	onChange: () => frame.request(proofView),
});
const proofView = new ProofView(channel);
const title = new UnreadTitle(feed, marks);
/** What visits before this one have shown is yet to be read from the log. */
let historyDue = storage.getItem(positionKey) !== null;

showUser();
wireMarks();
wireSend();
new TokenForm(() => {
	void showHistory();
	channel.link.retry();
});
void showHistory();
setInterval(() => frame.request(proofView), ID_MS);
channel.link.open();

function take({ lastEventId, data }: Pick<StreamEvent, "lastEventId" | "data">): void {
	feed.add(parseNotice(lastEventId, data));
	showFeed();
}

function showFeed(): void {
	frame.request(feedView);
	title.request();
}

/** Only an expired id keeps its meaning: otherwise the log is another one. */
function startAnew(gap: Gap): void {
	if (gap.reason !== "expired") {
		feed.clear();
		marks.clear();
		showFeed();
	}
}

async function readIds(after: EventId, signal: AbortSignal): Promise<EventId[]> {
	const ids: EventId[] = [];
	for await (const events of readLog({ subject, last_event_id: after }, MAX_SPAN, signal)) {
		ids.push(...events.map((e) => e.id));
	}
	return ids;
}

/**
 * The stream goes on where the last visit ended; what that had shown is read from the
 * log: all that is unread, and what is recent.
 */
async function showHistory(): Promise<void> {
	if (!historyDue) {
		return; // the stream of a first visit begins with it
	}
	const after = marks.readThrough;
	const unread = after === "" ? { from: "oldest" } : { last_event_id: after };
	try {
		await Promise.all([showLog(unread), showLog({ from: HISTORY_FROM })]);
		historyDue = false;
	} catch (cause) {
		console.warn("the page begins without history:", cause);
	}
}

async function showLog(position: Record<string, string>): Promise<void> {
	const { signal } = new AbortController();
	for await (const events of readLog({ subject, ...position }, HISTORY_MOST, signal)) {
		for (const { id, data = "" } of events) {
			take({ lastEventId: id, data });
		}
	}
}

function showUser(): void {
	setText(byId("user", HTMLElement), user);
	setText(byId("subject", HTMLElement), subject);
	setText(byId("send", HTMLElement), `Notify ${user}`);
	setText(byId("publish-hint", HTMLElement), `ringcast pub ${subject} "Hello"`);
	for (const link of byId("users", HTMLElement).querySelectorAll("a")) {
		if (link.search === `?user=${encodeURIComponent(user)}`) {
			link.setAttribute("aria-current", "true");
		}
	}
	byId("other", HTMLFormElement).addEventListener("submit", (e) => {
		e.preventDefault();
		const other = byId("other-user", HTMLInputElement).value.trim();
		if (other !== "") {
			location.search = new URLSearchParams({ user: other }).toString();
		}
	});
}

function wireMarks(): void {
	feedView.onRead = (id) => {
		marks.read(id);
		showFeed();
	};
	byId("read-all", HTMLButtonElement).addEventListener("click", () => {
		const newest = feed.all()[0];
		if (newest !== undefined) {
			marks.readAll(newest.id);
			showFeed();
		}
	});
	addEventListener("storage", (e) => {
		if (e.key === marksKey) {
			marks.load(); // another tab has read some
			showFeed();
		}
	});
}

/** Publishes one, as any producer would by HTTP: also while this page is cut off. */
function wireSend(): void {
	let sent = 0;
	byId("send", HTMLButtonElement).addEventListener("click", async () => {
		const body = `No. ${++sent} from this page.`;
		const data = JSON.stringify({ user, title: "Test notification", body, time: new Date() });
		const result = await publish(data).catch(() => "The gateway cannot be reached.");
		setText(byId("sent", HTMLElement), result);
	});
}

/** Returns what became of it, in words. */
async function publish(data: string): Promise<string> {
	const answer = await token.fetch(`v1/publish/${encodeURIComponent(subject)}`, {
		method: "POST",
		headers: { "Ringcast-Event": "notification" },
		body: data,
	});
	const result = await answer.json();
	return answer.ok
		? `Stored as ${result.id}.`
		: `The gateway refuses: ${problemDetail(result) ?? answer.status}`;
}
