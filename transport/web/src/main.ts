import { EventClock } from "./clock.ts";
import { Connection, type Cut } from "./connection.ts";
import type { EventId } from "./ids.ts";
import { NoticeFeed, parseNotice } from "./notices.ts";
import { Outages } from "./outages.ts";
import { readLog, streamUrl } from "./page.ts";
import { parseQuote, QuoteBoard } from "./quotes.ts";
import { MAX_SPAN } from "./span.ts";
import type { StreamEvent } from "./stream.ts";
import { ChartView } from "./view/chart.ts";
import { byId, setText } from "./view/dom.ts";
import { FeedView } from "./view/feed.ts";
import { formatCount } from "./view/format.ts";
import { Frame } from "./view/frame.ts";
import { StatusView } from "./view/status.ts";
import { TickerView } from "./view/ticker.ts";

/** The last value of each symbol, then every quote as it comes. */
const QUOTES = { subject: "events.quotes.>", from: "last" };
/** What was notified lately, then every notification as it comes. */
const NOTICES = { subject: "events.notify.>", from: "15m" };

/** What the chart begins with, from the log. */
const HISTORY = { subject: QUOTES.subject, from: "2m" };
const HISTORY_MOST = 5_000;

const PAUSE_MS = 5_000;
const RATE_MS = 1_000;
/** How often the chart moves on when nothing comes. */
const SCROLL_MS = 250;
const SCROLL_CALM_MS = 1_000;

const elapsed = () => performance.now();
const frame = new Frame();
const clock = new EventClock(elapsed);
const board = new QuoteBoard();
const feed = new NoticeFeed();
const outages = new Outages();
const connection = new Connection(elapsed, shadeCut);
const tickerView = new TickerView(board, select);
const chartView = new ChartView(board, clock, outages, () => frame.request(chartView));
const feedView = new FeedView(feed);
const statusView = new StatusView(connection);

follow("Quotes", QUOTES, [], takeQuote);
follow("Notifications", NOTICES, ["notification"], takeNotice);
wireButtons();
wireReturn();
measureRate();
scroll();
connection.open();
void fillHistory();
frame.request(statusView);

/** Adds a stream to the connection. */
function follow(
	name: string,
	params: { subject: string; from: string },
	types: string[],
	onEvent: (event: StreamEvent) => void,
): void {
	const at = (after: EventId | undefined) =>
		after === undefined ? params : { ...params, last_event_id: after };
	connection.add({
		name,
		subject: params.subject,
		types,
		url: (after) => streamUrl(at(after)),
		readIds: (after, signal) => readIds(at(after), signal),
		onEvent,
		onChange: () => frame.request(statusView),
		onRefused: () => void explainRefusal(params),
	});
}

async function readIds(params: Record<string, string>, signal: AbortSignal): Promise<EventId[]> {
	const ids: EventId[] = [];
	for await (const events of readLog(params, MAX_SPAN, signal)) {
		ids.push(...events.map((e) => e.id));
	}
	return ids;
}

function takeQuote(event: StreamEvent): void {
	const quote = parseQuote(event.data);
	if (quote === undefined) {
		return;
	}
	clock.observe(quote.time);
	const ticker = board.update(quote);
	if (ticker === undefined) {
		return;
	}
	tickerView.mark(ticker);
	frame.request(tickerView);
	if (chartView.shown === undefined) {
		select(quote.symbol);
	} else if (chartView.shown === quote.symbol) {
		frame.request(chartView);
	}
}

function takeNotice(event: StreamEvent): void {
	feed.add(parseNotice(event.id, event.data));
	frame.request(feedView);
}

function select(symbol: string): void {
	tickerView.select(symbol);
	chartView.select(symbol);
	frame.request(chartView);
}

/** The chart begins with the past; without an answer it begins empty. */
async function fillHistory(): Promise<void> {
	try {
		for await (const events of readLog(HISTORY, HISTORY_MOST, new AbortController().signal)) {
			for (const { data } of events) {
				const quote = parseQuote(data ?? "");
				const ticker = quote && board.backfill(quote);
				if (ticker !== undefined) {
					tickerView.mark(ticker);
				}
			}
			frame.request(tickerView);
			frame.request(chartView);
		}
	} catch (cause) {
		console.warn("the chart begins without history:", cause);
	}
}

function shadeCut(cut: Cut): void {
	const now = clock.now();
	if (now !== undefined) {
		if (cut.end === undefined) {
			outages.begin(now);
		} else {
			outages.end(now);
		}
	}
	frame.request(chartView);
	frame.request(statusView);
}

/** An EventSource does not say why it was refused; the same request for JSON does. */
async function explainRefusal(params: Record<string, string>): Promise<void> {
	try {
		for await (const _ of readLog(params, 1, new AbortController().signal)) {
			break;
		}
		statusView.refused(undefined);
	} catch (cause) {
		const why = cause instanceof Error ? cause.message : String(cause);
		statusView.refused(`The gateway refuses ${params["subject"]}: ${why}`);
	}
}

function wireButtons(): void {
	let pause: ReturnType<typeof setTimeout> | undefined;
	byId("toggle", HTMLButtonElement).addEventListener("click", () => {
		clearTimeout(pause);
		if (connection.state === "dropped") {
			connection.open();
		} else {
			connection.drop();
		}
	});
	byId("pause", HTMLButtonElement).addEventListener("click", () => {
		connection.drop();
		pause = setTimeout(() => connection.open(), PAUSE_MS);
	});
}

/** A laptop that wakes up need not wait for a timer that slept with it. */
function wireReturn(): void {
	addEventListener("online", () => connection.hurry());
	addEventListener("pageshow", () => connection.hurry());
	document.addEventListener("visibilitychange", () => {
		if (!document.hidden) {
			connection.hurry();
		}
	});
}

function measureRate(): void {
	let before = 0;
	let at = elapsed();
	setInterval(() => {
		const received = connection.all().reduce((n, c) => n + c.received, 0);
		const now = elapsed();
		const perSecond = ((received - before) * 1000) / (now - at);
		setText(byId("rate", HTMLElement), formatCount(Math.round(perSecond)));
		before = received;
		at = now;
	}, RATE_MS);
}

function scroll(): void {
	const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
	setInterval(() => frame.request(chartView), calm ? SCROLL_CALM_MS : SCROLL_MS);
}
