import { byId } from "../common/dom.ts";
import { Frame } from "../common/frame.ts";
import { TokenForm } from "../common/token-form.ts";
import { Charts } from "./charts.ts";
import { type Filter, filterOfQuery, queryOfFilter } from "./filter.ts";
import { FilterForm } from "./filter-form.ts";
import { Follower } from "./follower.ts";
import { GatewayView } from "./gateway.ts";
import { Inspector } from "./inspector.ts";
import { Pace } from "./pace.ts";
import { poll } from "./poll.ts";
import { PublishForm } from "./publish-form.ts";
import { Rates } from "./rates.ts";
import { Samples } from "./samples.ts";
import { readStatus, type Status, StatusRefused } from "./status.ts";
import { Table } from "./table.ts";
import { eventOf } from "./tape.ts";
import { TapeBar } from "./tape-bar.ts";

const STATUS_EVERY_MS = 1_000;
const ROWS_EVERY_MS = 100;

const frame = new Frame();
const samples = new Samples();
const rates = new Rates();
const charts = new Charts(samples);
const gatewayView = new GatewayView();

const follower = new Follower(() => pace.request());
const tapeBar = new TapeBar(follower);
const table = new Table(
	follower,
	{
		onSelect: (row) => inspector.show(eventOf(row)),
		onScroll: (away) => pauseWhileReading(away),
	},
	() => pace.hurry(),
);
const pace = new Pace(frame, { render: renderTape }, ROWS_EVERY_MS);
const form = new FilterForm(follow);
const inspector = new Inspector(
	(id) => resumeAfter(id),
	() => table.unchoose(),
);
new PublishForm();
new TokenForm(() => {
	wantsToken = false;
	follower.retry();
});

/** What the page's URL asks for: without a subject, everything that the gateway serves. */
const asked = filterOfQuery(location.search);

/** The gateway does not show its state for want of a token: without, it is not asked again. */
let wantsToken = false;

/** Paused by scrolling away from the newest rows, and until one scrolls back. */
let reading = false;

wireButtons();
wireKeys();
form.show(asked);
if (asked.subjects.length > 0) {
	follow(asked);
}
poll(STATUS_EVERY_MS, look);

function follow(filter: Filter): void {
	reading = false;
	form.show(filter);
	history.replaceState(null, "", `${location.pathname}${queryOfFilter(filter)}`);
	table.scrollToTop();
	follower.follow(filter);
}

function resumeAfter(id: string): void {
	if (follower.filter !== undefined) {
		follow({ ...follower.filter, from: id });
		table.focus();
	}
}

function renderTape(): void {
	table.render();
	tapeBar.render();
	form.showRefusal(follower.refusal);
}

async function look(): Promise<void> {
	if (wantsToken) {
		return;
	}
	let status: Status;
	try {
		status = await readStatus();
	} catch (error) {
		if (!(error instanceof StatusRefused)) {
			gatewayView.noteSilence(Date.now());
		} else if (error.status === 401) {
			wantsToken = true;
		} else {
			gatewayView.noteRefusal(error.message);
		}
		return;
	} finally {
		frame.request(gatewayView);
	}
	samples.add(rates.sample(status, Date.now()));
	charts.show(status);
	gatewayView.show(status);
	frame.request(charts);
	if (follower.filter === undefined) {
		follow({ ...asked, subjects: status.subjects });
	}
}

function wireButtons(): void {
	byId("pause", HTMLElement).addEventListener("click", togglePause);
	byId("connect", HTMLElement).addEventListener("click", () => {
		if (follower.isOff && !follower.paused) {
			follower.reconnect();
		} else {
			follower.disconnect();
		}
		pace.hurry();
	});
}

function togglePause(): void {
	reading = false;
	if (follower.paused) {
		table.scrollToTop();
		follower.resume();
	} else {
		follower.pause();
	}
	pace.hurry();
}

/** Rows that one reads must not move away under one's eyes. */
function pauseWhileReading(away: boolean): void {
	if (away && !follower.paused && !follower.isOff) {
		reading = true;
		follower.pause();
	} else if (!away && reading) {
		reading = false;
		follower.resume();
	}
}

function wireKeys(): void {
	document.addEventListener("keydown", (event) => {
		if (event.key === "Escape" && inspector.isOpen) {
			inspector.close();
			table.focus();
			return;
		}
		const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
		if (!plain || takesKeys(event.target)) {
			return;
		}
		if (event.key === "/") {
			event.preventDefault();
			form.focus();
		} else if (event.key === " ") {
			event.preventDefault();
			byId("pause", HTMLElement).click(); // nothing where it is disabled
		}
	});
}

/** Whether a key belongs to what has the focus: a field, or what Space activates. */
function takesKeys(target: EventTarget | null): boolean {
	return target instanceof Element && target.matches("input, select, textarea, button, a, summary");
}
