import { Series } from "./series.ts";

/** What a producer publishes on events.quotes.<SYMBOL>. */
export interface Quote {
	readonly symbol: string;
	readonly price: number;
	/** Since the session's start, in percent. */
	readonly change: number;
	readonly volume: number;
	/** Milliseconds since the Unix epoch. */
	readonly time: number;
}

/** How much of the past the chart and the sparklines show. */
export const WINDOW_MS = 120_000;

/** A sparkline needs few points; 200 symbols have one each. */
const SPARK_BUCKET_MS = 3_000;

/** Symbols beyond this many are not shown: memory stays bounded. */
export const MAX_SYMBOLS = 300;

const MAX_SYMBOL_LENGTH = 24;

/** Reads a quote, or returns undefined for data that is none. */
export function parseQuote(data: string): Quote | undefined {
	let value: unknown;
	try {
		value = JSON.parse(data);
	} catch {
		return undefined;
	}
	if (typeof value !== "object" || value === null) {
		return undefined;
	}
	const { symbol, price, change, volume, time } = value as Record<string, unknown>;
	const at = typeof time === "string" ? Date.parse(time) : Number.NaN;
	if (typeof symbol !== "string" || symbol === "" || symbol.length > MAX_SYMBOL_LENGTH) {
		return undefined;
	}
	if (!isNumber(price) || Number.isNaN(at)) {
		return undefined;
	}
	return {
		symbol,
		price,
		change: isNumber(change) ? change : 0,
		volume: isNumber(volume) ? volume : 0,
		time: at,
	};
}

/** JSON has numbers too great for one ("1e999"), which no axis can show. */
function isNumber(value: unknown): value is number {
	return typeof value === "number" && Number.isFinite(value);
}

/** A symbol's newest quote and its prices within the window. */
export interface Ticker {
	readonly symbol: string;
	readonly series: Series;
	/** The newest quote that came over the stream; history alone has none. */
	quote: Quote | undefined;
	/** Which way the last quote moved the price. */
	direction: -1 | 0 | 1;
}

/** The newest quote of every symbol. */
export class QuoteBoard {
	private readonly tickers = new Map<string, Ticker>();

	/** Takes a quote from the stream. Returns the ticker it changed, if any. */
	update(quote: Quote): Ticker | undefined {
		const ticker = this.ticker(quote.symbol);
		if (ticker === undefined) {
			return undefined;
		}
		ticker.direction = direction(ticker.quote, quote);
		ticker.quote = quote;
		ticker.series.add(quote);
		return ticker;
	}

	/** Takes a quote from before the stream began: it is a point of the sparkline only. */
	backfill(quote: Quote): Ticker | undefined {
		const ticker = this.ticker(quote.symbol);
		ticker?.series.add(quote);
		return ticker;
	}

	get(symbol: string): Ticker | undefined {
		return this.tickers.get(symbol);
	}

	/** Whether there may be symbols that are not shown. */
	get isFull(): boolean {
		return this.tickers.size >= MAX_SYMBOLS;
	}

	get size(): number {
		return this.tickers.size;
	}

	private ticker(symbol: string): Ticker | undefined {
		let ticker = this.tickers.get(symbol);
		if (ticker === undefined && this.tickers.size < MAX_SYMBOLS) {
			ticker = {
				symbol,
				series: new Series(WINDOW_MS, SPARK_BUCKET_MS),
				quote: undefined,
				direction: 0,
			};
			this.tickers.set(symbol, ticker);
		}
		return ticker;
	}
}

function direction(before: Quote | undefined, now: Quote): -1 | 0 | 1 {
	if (before === undefined || before.price === now.price) {
		return 0;
	}
	return now.price > before.price ? 1 : -1;
}
