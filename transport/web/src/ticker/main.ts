import type { StreamEvent } from "#client";
import { CutButtons } from "../common/cut-buttons.ts";
import { Cuts } from "../common/cuts.ts";
import { Frame } from "../common/frame.ts";
import { Link, type LinkState } from "../common/link.ts";
import { readHead } from "../common/log.ts";
import { TokenForm } from "../common/token-form.ts";
import { CatchUp } from "./catch-up.ts";
import { ChartView } from "./chart.ts";
import { EventClock } from "./clock.ts";
import { showCut, showGap, showLink, showReading } from "./figures.ts";
import { readQuotes, sampleQuotes } from "./history.ts";
import { Meter } from "./meter.ts";
import { parseQuote, QuoteBoard } from "./quotes.ts";
import { TableView } from "./table.ts";

const PREFIX = "events.quotes.";
const SUBJECT = `${PREFIX}>`;
const CONFLATE = "100ms";

const READ_MS = 1_000;
/** How often the chart moves on when nothing comes. */
const SCROLL_MS = 250;
const SCROLL_CALM_MS = 1_000;

const elapsed = () => performance.now();
const frame = new Frame();
const clock = new EventClock(elapsed);
const board = new QuoteBoard();
const cuts = new Cuts(elapsed);
const meter = new Meter(() => performance.timeOrigin + performance.now());
const table = new TableView(board, select, () => frame.request(table));
const chart = new ChartView(clock, cuts, () => frame.request(chart));
const status = { render: showStatus };
/** Since the stream was opened last. */
let catchUp = new CatchUp(undefined);
/** Ends what is being read from the log for a connection or a symbol that is no more. */
let connected = new AbortController();
let selected = new AbortController();

const link = new Link(
	{ subjects: SUBJECT, from: "last", query: { conflate: CONFLATE } },
	{ onState: changed, onEvent: take, onGap: showGap },
);
const buttons = new CutButtons(link);
new TokenForm(() => link.retry());
setInterval(readMeter, READ_MS);
scroll();
link.open();

function showStatus(): void {
	showLink(link);
	showCut(cuts.last, catchUp);
	buttons.show();
}

/** What is published while the page is cut off, nobody tells it. */
function readMeter(): void {
	showReading(meter.read(link.state === "live" ? link.lastId : undefined));
}

function changed(state: LinkState): void {
	cuts.note(state);
	if (state === "live") {
		connected.abort();
		connected = new AbortController();
		catchUp = new CatchUp(link.lastId);
		void follow(catchUp, connected.signal);
		void fillSparklines(connected.signal);
		void fillChart();
	}
	frame.request(status);
	frame.request(chart);
}

function take(event: StreamEvent): void {
	const quote = parseQuote(event.data);
	if (quote === undefined) {
		return;
	}
	const isLive = catchUp.isLive(event.lastEventId);
	meter.note(event.lastEventId, isLive);
	clock.observe(quote.time);
	const ticker = board.update(quote);
	if (ticker === undefined) {
		return;
	}
	if (!isLive) {
		catchUp.deliver(quote.symbol, event.lastEventId);
		frame.request(status);
	}
	table.mark(ticker);
	frame.request(table);
	if (chart.shown === quote.symbol) {
		chart.update(quote);
		frame.request(chart);
	}
}

function select(symbol: string): void {
	if (symbol !== chart.shown) {
		table.select(symbol);
		chart.select(symbol);
		const quote = board.get(symbol)?.quote;
		if (quote !== undefined) {
			chart.update(quote);
		}
		void fillChart();
	}
	frame.request(chart);
}

/** Asks where the log stands as the stream opens. */
async function follow(opened: CatchUp, signal: AbortSignal): Promise<void> {
	try {
		opened.expect(await readHead(SUBJECT, signal));
		frame.request(status);
	} catch (cause) {
		warn("the lag is not measured", cause, signal);
	}
}

/** Sparklines begin with the past, also after a cut. */
async function fillSparklines(signal: AbortSignal): Promise<void> {
	try {
		for await (const quotes of sampleQuotes(SUBJECT, signal)) {
			for (const quote of quotes) {
				const ticker = board.backfill(quote);
				if (ticker !== undefined) {
					table.mark(ticker);
				}
			}
			frame.request(table);
		}
	} catch (cause) {
		warn("the sparklines begin without history", cause, signal);
	}
}

/** The chart has the whole past of its symbol: what conflation left out, and cuts too. */
async function fillChart(): Promise<void> {
	selected.abort();
	selected = new AbortController();
	const { signal } = selected;
	const symbol = chart.shown;
	if (symbol === undefined) {
		return;
	}
	try {
		for await (const quotes of readQuotes(PREFIX + symbol, signal)) {
			for (const quote of quotes) {
				chart.backfill(quote);
			}
			frame.request(chart);
		}
	} catch (cause) {
		warn("the chart begins without history", cause, signal);
	}
}

function warn(what: string, cause: unknown, signal: AbortSignal): void {
	if (!signal.aborted) {
		console.warn(`${what}:`, cause);
	}
}

function scroll(): void {
	const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
	setInterval(() => frame.request(chart), calm ? SCROLL_CALM_MS : SCROLL_MS);
}
