import { type QuoteBoard, type Ticker, WINDOW_MS } from "../quotes.ts";
import { byId, cloneTemplate, find, setText } from "./dom.ts";
import { directionOf, formatChange, formatPrice, formatVolume } from "./format.ts";
import type { View } from "./frame.ts";

const SPARK_WIDTH = 80;
const SPARK_HEIGHT = 24;
const SPARK_POINTS = 40;

const FLASH_MS = 500;

/** The table of quotes, sorted by symbol. */
export class TickerView implements View {
	private readonly body = byId("ticker-rows", HTMLTableSectionElement);
	private readonly rows = new Map<string, Row>();
	private readonly changed = new Set<Ticker>();
	private selected: string | undefined;
	private readonly still = matchMedia("(prefers-reduced-motion: reduce)");

	constructor(
		private readonly board: QuoteBoard,
		private readonly onSelect: (symbol: string) => void,
	) {
		this.body.addEventListener("click", (e) => this.clicked(e));
	}

	/** Notes that a ticker has something new to show. */
	mark(ticker: Ticker): void {
		this.changed.add(ticker);
	}

	select(symbol: string): void {
		this.selected = symbol;
		for (const [name, row] of this.rows) {
			row.select(name === symbol);
		}
	}

	render(): void {
		for (const ticker of this.changed) {
			this.row(ticker.symbol).show(ticker, !this.still.matches);
		}
		this.changed.clear();
		byId("ticker", HTMLTableElement).hidden = this.board.size === 0;
		byId("ticker-empty", HTMLElement).hidden = this.board.size > 0;
	}

	private row(symbol: string): Row {
		let row = this.rows.get(symbol);
		if (row === undefined) {
			row = new Row(symbol);
			row.select(symbol === this.selected);
			this.rows.set(symbol, row);
			const next = [...this.rows.keys()].sort().find((other) => other > symbol);
			this.body.insertBefore(row.element, this.rows.get(next ?? "")?.element ?? null);
		}
		return row;
	}

	/** The whole row is a target for a pointer; the button is the one for keys. */
	private clicked(e: MouseEvent): void {
		const row = e.target instanceof Element ? e.target.closest("tr") : null;
		if (row?.dataset["symbol"] !== undefined) {
			this.onSelect(row.dataset["symbol"]);
		}
	}
}

/** One row of the table. */
class Row {
	readonly element = cloneTemplate("ticker-template", HTMLTableRowElement);
	private readonly button = find(this.element, "button", HTMLButtonElement);
	private readonly price = find(this.element, ".price", HTMLElement);
	private readonly change = find(this.element, ".change", HTMLElement);
	private readonly volume = find(this.element, ".volume", HTMLElement);
	private readonly line = find(this.element, "polyline", SVGPolylineElement);

	constructor(symbol: string) {
		this.element.dataset["symbol"] = symbol;
		setText(this.button, symbol);
	}

	select(on: boolean): void {
		this.button.setAttribute("aria-pressed", String(on));
		this.element.classList.toggle("selected", on);
	}

	show(ticker: Ticker, animate: boolean): void {
		this.line.setAttribute("points", sparkline(ticker));
		const quote = ticker.quote;
		if (quote === undefined) {
			return;
		}
		setText(this.price, formatPrice(quote.price));
		setText(this.change, formatChange(quote.change));
		setText(this.volume, formatVolume(quote.volume));
		this.element.dataset["direction"] = directionOf(quote.change);
		if (animate && ticker.direction !== 0) {
			const colour = ticker.direction > 0 ? "var(--up-flash)" : "var(--down-flash)";
			this.price.animate(
				[{ backgroundColor: colour }, { backgroundColor: "transparent" }],
				FLASH_MS,
			);
		}
	}
}

/** The ticker's window as the points of an SVG polyline. */
function sparkline(ticker: Ticker): string {
	const all = ticker.series.all();
	const newest = all.at(-1);
	if (newest === undefined) {
		return "";
	}
	const step = Math.max(1, Math.ceil(all.length / SPARK_POINTS));
	const points = all.filter((_, i) => (all.length - 1 - i) % step === 0);
	const prices = points.map((p) => p.price);
	const low = Math.min(...prices);
	const span = Math.max(...prices) - low || 1;
	return points
		.map((p) => {
			const x = SPARK_WIDTH * (1 - (newest.time - p.time) / WINDOW_MS);
			const y = SPARK_HEIGHT - 2 - ((p.price - low) / span) * (SPARK_HEIGHT - 4);
			return `${Math.max(0, x).toFixed(1)},${y.toFixed(1)}`;
		})
		.join(" ");
}
