import { byId, cloneTemplate, find, setText } from "../common/dom.ts";
import { directionOf, formatChange, formatPrice, formatVolume } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import type { QuoteBoard, Ticker } from "./quotes.ts";
import { sparkline } from "./sparkline.ts";

const FLASH_MS = 500;
const SPARK_MS = 1_000;
/** How often the rows are put in order while prices move. */
const ORDER_MS = 1_000;

type Column = "symbol" | "change" | "volume";

/** The table of quotes. Only rows that can be seen are kept up to date. */
export class TableView implements View {
	private readonly body = byId("ticker-rows", HTMLTableSectionElement);
	private readonly search = byId("search", HTMLInputElement);
	private readonly rows = new Map<string, Row>();
	private readonly changed = new Set<Ticker>();
	private readonly still = matchMedia("(prefers-reduced-motion: reduce)");
	private readonly hovers = matchMedia("(hover: hover)");
	private readonly visible = new IntersectionObserver((entries) => this.seen(entries), {
		rootMargin: "120px",
	});
	private selected: string | undefined;
	private column: Column = "symbol";
	private descending = false;
	private orderDue = true;

	constructor(
		private readonly board: QuoteBoard,
		private readonly onSelect: (symbol: string) => void,
		private readonly onChange: () => void,
	) {
		this.body.addEventListener("click", (e) => this.clicked(e));
		this.body.addEventListener("keydown", (e) => this.pressed(e));
		this.search.addEventListener("input", () => this.reorder());
		for (const button of document.querySelectorAll<HTMLElement>("#ticker thead [data-column]")) {
			button.addEventListener("click", () => this.sortBy(button.dataset["column"] as Column));
		}
		setInterval(() => this.reorderUnlessInUse(), ORDER_MS);
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
		this.giveTabStop();
	}

	render(): void {
		for (const ticker of this.changed) {
			const row = this.row(ticker);
			if (row.isVisible || row.isBlank) {
				this.changed.delete(ticker);
				row.show(!this.still.matches);
			}
		}
		if (this.orderDue) {
			this.orderDue = false;
			this.order();
		}
		byId("ticker", HTMLTableElement).hidden = this.board.size === 0;
		byId("ticker-empty", HTMLElement).hidden = this.board.size > 0;
	}

	private row(ticker: Ticker): Row {
		let row = this.rows.get(ticker.symbol);
		if (row === undefined) {
			row = new Row(ticker);
			row.select(ticker.symbol === this.selected);
			this.rows.set(ticker.symbol, row);
			this.body.append(row.element);
			this.visible.observe(row.element);
			this.orderDue = true;
		}
		return row;
	}

	private seen(entries: readonly IntersectionObserverEntry[]): void {
		for (const { target, isIntersecting } of entries) {
			const row = this.rows.get((target as HTMLElement).dataset["symbol"] ?? "");
			if (row !== undefined) {
				row.isVisible = isIntersecting;
			}
		}
		this.onChange();
	}

	private sortBy(column: Column): void {
		this.descending = column === this.column ? !this.descending : column !== "symbol";
		this.column = column;
		for (const head of document.querySelectorAll("#ticker thead th")) {
			head.removeAttribute("aria-sort");
		}
		const head = find(document, `th:has([data-column="${column}"])`, HTMLElement);
		head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
		this.reorder();
	}

	private reorder(): void {
		this.orderDue = true;
		this.onChange();
	}

	/** Rows do not move away under a pointer, or from under the keyboard's focus. */
	private reorderUnlessInUse(): void {
		const hovered = this.hovers.matches && this.body.matches(":hover");
		const focused = this.body.querySelector(":focus-visible") !== null;
		if (!hovered && !focused && this.column !== "symbol") {
			this.reorder();
		}
	}

	/** Puts the rows in order and hides those that are not searched for. */
	private order(): void {
		const wanted = this.search.value.trim().toUpperCase();
		const sign = this.descending ? -1 : 1;
		const rows = [...this.rows.values()].sort(
			(a, b) => sign * compare(a.ticker, b.ticker, this.column),
		);
		let previous: Element | undefined;
		let shown = 0;
		for (const row of rows) {
			row.element.hidden = !row.ticker.symbol.toUpperCase().includes(wanted);
			shown += row.element.hidden ? 0 : 1;
			const next =
				previous === undefined ? this.body.firstElementChild : previous.nextElementSibling;
			if (next !== row.element) {
				this.body.insertBefore(row.element, next);
			}
			previous = row.element;
		}
		const first = rows[0]?.ticker.symbol;
		if (this.selected === undefined && first !== undefined) {
			this.onSelect(first);
		}
		const all = this.board.isFull
			? `${rows.length} symbols, the most shown`
			: `${rows.length} symbols`;
		const found = shown === rows.length ? all : `${shown} of ${all}`;
		setText(byId("found", HTMLElement), found);
		this.giveTabStop();
	}

	/** The table is one stop of the Tab key; the arrows move within it. */
	private giveTabStop(): void {
		const buttons = this.shownButtons();
		const current = buttons.find((b) => b.getAttribute("aria-pressed") === "true") ?? buttons[0];
		for (const button of buttons) {
			button.tabIndex = button === current ? 0 : -1;
		}
	}

	private shownButtons(): HTMLButtonElement[] {
		return [...this.body.querySelectorAll<HTMLButtonElement>("tr:not([hidden]) button")];
	}

	/** The whole row is a target for a pointer; the button is the one for keys. */
	private clicked(e: MouseEvent): void {
		const row = e.target instanceof Element ? e.target.closest("tr") : null;
		if (row?.dataset["symbol"] !== undefined) {
			this.onSelect(row.dataset["symbol"]);
		}
	}

	private pressed(e: KeyboardEvent): void {
		const buttons = this.shownButtons();
		const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
		const last = buttons.length - 1;
		const to = {
			ArrowDown: Math.min(at + 1, last),
			ArrowUp: Math.max(at - 1, 0),
			Home: 0,
			End: last,
		};
		const next = buttons[to[e.key as keyof typeof to] ?? -1];
		if (next !== undefined) {
			e.preventDefault();
			next.focus();
		}
	}
}

function compare(a: Ticker, b: Ticker, column: Column): number {
	const bySymbol = a.symbol < b.symbol ? -1 : 1;
	if (column === "symbol") {
		return bySymbol;
	}
	return (a.quote?.[column] ?? 0) - (b.quote?.[column] ?? 0) || bySymbol;
}

/** One row of the table. */
class Row {
	readonly element = cloneTemplate("ticker-template", HTMLTableRowElement);
	/** As far as the browser has told. */
	isVisible = false;
	isBlank = true;

	private readonly button = find(this.element, "button", HTMLButtonElement);
	private readonly price = find(this.element, ".price", HTMLElement);
	private readonly change = find(this.element, ".change", HTMLElement);
	private readonly volume = find(this.element, ".volume", HTMLElement);
	private readonly line = find(this.element, "polyline", SVGPolylineElement);
	private sparkedAt = Number.NEGATIVE_INFINITY;
	private flashedAt = Number.NEGATIVE_INFINITY;

	constructor(readonly ticker: Ticker) {
		this.element.dataset["symbol"] = ticker.symbol;
		setText(this.button, ticker.symbol);
	}

	select(on: boolean): void {
		this.button.setAttribute("aria-pressed", String(on));
		this.element.classList.toggle("selected", on);
	}

	show(animate: boolean): void {
		const { quote, direction } = this.ticker;
		const now = performance.now();
		if (now - this.sparkedAt >= SPARK_MS) {
			this.sparkedAt = now;
			this.line.setAttribute("points", sparkline(this.ticker.series.all()));
		}
		if (quote === undefined) {
			return;
		}
		this.isBlank = false;
		setText(this.price, formatPrice(quote.price));
		setText(this.change, formatChange(quote.change));
		setText(this.volume, formatVolume(quote.volume));
		this.element.dataset["direction"] = directionOf(quote.change);
		if (animate && direction !== 0 && now - this.flashedAt >= FLASH_MS) {
			this.flashedAt = now;
			const colour = direction > 0 ? "var(--up-flash)" : "var(--down-flash)";
			this.price.animate(
				[{ backgroundColor: colour }, { backgroundColor: "transparent" }],
				FLASH_MS,
			);
		}
	}
}
