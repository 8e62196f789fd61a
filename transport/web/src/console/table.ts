import { byId, cloneTemplate, find, setText } from "../common/dom.ts";
import type { View } from "../common/frame.ts";
import { preview } from "./event.ts";
import type { Follower } from "./follower.ts";
import { type EventRow, eventOf, type NoticeRow, type Row } from "./tape.ts";
import { formatBytes } from "./units.ts";

/** Rows made beyond what can be seen, so that scrolling does not outrun them. */
const OVERSCAN = 4;

const clock = new Intl.DateTimeFormat("en-GB", {
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	fractionalSecondDigits: 3,
});

/** What the table tells of what one does in it. */
export interface TableListener {
	/** An event was chosen. */
	onSelect(row: EventRow): void;
	/** One scrolls away from the newest, or back to it. */
	onScroll(away: boolean): void;
}

/**
 * The rows, newest first. Only those in sight are in the document, in elements that are
 * used again. It is a grid of one tab stop (https://www.w3.org/WAI/ARIA/apg/patterns/grid/):
 * arrows choose a row.
 */
export class Table implements View {
	private readonly grid = byId("grid", HTMLElement);
	private readonly body = byId("rows", HTMLElement);
	private readonly lines: Line[] = [];
	private pressed: Row | undefined;
	private chosen: number | undefined;

	constructor(
		private readonly follower: Follower,
		private readonly listener: TableListener,
		private readonly redraw: () => void,
	) {
		this.grid.addEventListener("scroll", () => {
			listener.onScroll(this.grid.scrollTop > this.rowHeight / 2);
			redraw();
		});
		this.grid.addEventListener("keydown", (event) => this.onKey(event));
		// What is under the pointer when it goes down: it may be another row when it is up.
		this.body.addEventListener("pointerdown", (event) => {
			this.pressed = this.lineOf(event.target)?.row;
		});
		this.body.addEventListener("click", () => this.choose(this.pressed));
		new ResizeObserver(() => redraw()).observe(this.grid);
	}

	/** Shows the newest rows again. */
	scrollToTop(): void {
		this.grid.scrollTop = 0;
	}

	/** Nothing is chosen any more. */
	unchoose(): void {
		this.chosen = undefined;
		this.redraw();
	}

	focus(): void {
		this.grid.focus();
	}

	render(): void {
		const { tape } = this.follower;
		const height = this.rowHeight;
		this.body.style.height = `${tape.length * height}px`;
		this.grid.setAttribute("aria-rowcount", String(tape.length + 1));
		const inSight = Math.ceil(this.grid.clientHeight / height);
		const first = Math.max(0, Math.floor(this.grid.scrollTop / height) - OVERSCAN);
		const end = Math.min(tape.length, first + inSight + 2 * OVERSCAN);
		while (this.lines.length < end - first) {
			this.lines.push(new Line(this.body));
		}
		for (const [i, line] of this.lines.entries()) {
			const age = first + i;
			const row = age < end ? tape.newest(age) : undefined;
			line.show(row, age, height, row !== undefined && row.key === this.chosen);
		}
		const active = this.lines.find((line) => line.isChosen)?.id;
		if (active === undefined) {
			this.grid.removeAttribute("aria-activedescendant");
		} else {
			this.grid.setAttribute("aria-activedescendant", active);
		}
	}

	private get rowHeight(): number {
		return Number.parseFloat(getComputedStyle(this.grid).getPropertyValue("--row-height"));
	}

	private lineOf(target: EventTarget | null): Line | undefined {
		return this.lines.find((line) => target instanceof Node && line.contains(target));
	}

	private onKey(event: KeyboardEvent): void {
		const { tape } = this.follower;
		const now = this.chosen === undefined ? undefined : tape.ageOf(this.chosen);
		const page = Math.max(1, Math.floor(this.grid.clientHeight / this.rowHeight) - 2);
		const steps: Readonly<Record<string, number>> = {
			ArrowDown: (now ?? -1) + 1,
			ArrowUp: (now ?? 1) - 1,
			PageDown: (now ?? -1) + page,
			PageUp: (now ?? page) - page,
			Home: 0,
			End: tape.length - 1,
		};
		const to = steps[event.key];
		if (to === undefined || tape.length === 0) {
			return;
		}
		event.preventDefault();
		const age = Math.min(Math.max(0, to), tape.length - 1);
		this.reveal(age);
		this.choose(tape.newest(age));
	}

	/** Scrolls as little as brings a row into sight, below the head. */
	private reveal(age: number): void {
		const height = this.rowHeight;
		const bottom = (age + 2) * height - this.grid.clientHeight;
		this.grid.scrollTop = Math.min(age * height, Math.max(this.grid.scrollTop, bottom));
	}

	private choose(row: Row | undefined): void {
		if (row === undefined) {
			return;
		}
		this.chosen = row.key;
		if (row.kind === "event") {
			this.listener.onSelect(row);
		}
		this.redraw();
	}
}

/** An element for a row, one after another. */
class Line {
	row: Row | undefined;
	isChosen = false;
	private readonly element = cloneTemplate("row-template", HTMLElement);
	private readonly cells = new Map(
		["time", "id", "subject", "type", "size", "data", "notice"].map((name) => [
			name,
			find(this.element, `.cell-${name}`, HTMLElement),
		]),
	);

	constructor(body: HTMLElement) {
		body.append(this.element);
	}

	get id(): string {
		return this.element.id;
	}

	contains(node: Node): boolean {
		return this.element.contains(node);
	}

	show(row: Row | undefined, age: number, height: number, chosen: boolean): void {
		this.element.hidden = row === undefined;
		if (row === undefined) {
			this.row = undefined;
			this.isChosen = false;
			return;
		}
		this.element.style.transform = `translateY(${age * height}px)`;
		if (this.row !== row) {
			this.row = row;
			this.fill(row);
			this.element.id = `row-${row.key}`;
		}
		this.element.ariaRowIndex = String(age + 2); // the head is the first
		this.isChosen = chosen;
		this.element.setAttribute("aria-selected", String(chosen));
	}

	private fill(row: Row): void {
		this.element.dataset["kind"] = row.kind;
		if (row.kind === "event") {
			this.fillEvent(row);
		} else {
			this.fillNotice(row);
		}
	}

	private fillEvent(row: EventRow): void {
		const { id, subject, type, time, payload } = eventOf(row);
		this.set("time", time === "" ? "" : clock.format(Date.parse(time)));
		this.set("id", id);
		this.set("subject", subject);
		this.set("type", type);
		this.set("size", formatBytes(payload.size));
		const empty = payload.size === 0;
		this.set("data", empty ? "no data" : preview(payload));
		this.element.dataset["payload"] = empty ? "empty" : payload.kind;
		this.set("notice", "");
	}

	private fillNotice(row: NoticeRow): void {
		for (const name of ["id", "subject", "type", "size", "data"]) {
			this.set(name, "");
		}
		this.set("time", clock.format(row.time));
		this.set("notice", row.text);
	}

	private set(name: string, text: string): void {
		setText(this.cells.get(name) as HTMLElement, text);
	}
}
