import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import { figure, isDark, SCREENS, tabTo, textOf, tooWide, type Visit, visit } from "./visit.ts";

let ringcast: Ringcast;
let browser: Browser;
let open: Visit | undefined;
let subjects = 0;

beforeAll(async () => {
	[ringcast, browser] = await Promise.all([Ringcast.serve(), launch()]);
});

afterEach(async () => {
	expect(open?.errors ?? []).toEqual([]);
	await open?.page.context().close();
	open = undefined;
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
});

/** A subject that no other test uses. */
function freshSubject(): string {
	return `events.test${subjects++}`;
}

async function openPage(
	query: Record<string, string> = {},
	options: BrowserContextOptions = {},
	base = ringcast.url,
): Promise<Page> {
	open = await visit(browser, `${base}/?${new URLSearchParams(query)}`, options);
	await textOf(open.page, "#status-text", /^Live$/);
	return open.page;
}

/** Publishes events "from" to "to", one after another, and returns their ids. */
async function publishMany(subject: string, from: number, to: number): Promise<string[]> {
	const ids: string[] = [];
	for (let i = from; i <= to; i++) {
		ids.push(await ringcast.publish(subject, `event ${i}`));
	}
	return ids;
}

/** Waits until the page has received so many events of its filter. */
async function received(page: Page, n: number): Promise<void> {
	const count = n.toLocaleString("en");
	await textOf(page, "#tape-state", new RegExp(` of ${count} events? received`));
}

/** Scrolls through the table and returns its ids, oldest first. */
async function shownIds(page: Page): Promise<string[]> {
	const rows = await page.evaluate(async () => {
		const grid = document.querySelector("#grid") as HTMLElement;
		const seen = new Map<number, string>();
		for (let top = 0; top <= grid.scrollHeight; top += grid.clientHeight / 2) {
			grid.scrollTop = top;
			await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
			await new Promise((resolve) => requestAnimationFrame(resolve));
			for (const row of grid.querySelectorAll<HTMLElement>("tbody .row:not([hidden])")) {
				seen.set(Number(row.ariaRowIndex), row.querySelector(".cell-id")?.textContent ?? "");
			}
		}
		grid.scrollTop = 0;
		return [...seen];
	});
	const newestFirst = rows.sort(([a], [b]) => a - b).map(([, id]) => id);
	return newestFirst.filter((id) => id !== "").reverse(); // a notice has none
}

async function idsOf(subject: string): Promise<string[]> {
	return (await ringcast.read(subject)).map((event) => event.id);
}

const firstRow = "#rows .row:not([hidden])";

test("an event is a row, and whole when it is chosen", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await textOf(page, "#tape-empty", new RegExp(`ringcast pub ${subject} `));
	const json = '{"price": 1.0, "big": 12345678901234567890, "name": "é"}';
	const id = await ringcast.publish(subject, json, "quote");
	const row = page.locator(firstRow).filter({ hasText: id });
	await row.waitFor();
	expect(await row.locator(".cell-subject").textContent()).toBe(subject);
	expect(await row.locator(".cell-type").textContent()).toBe("quote");
	expect(await row.locator(".cell-size").textContent()).toBe("52 B");
	expect(await row.locator(".cell-time").textContent()).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/);
	expect(await row.locator(".cell-data").textContent()).toBe(
		json.replaceAll(": ", ":").replaceAll(", ", ","),
	);
	expect(await page.isVisible("#tape-empty")).toBe(false);

	await row.click();
	expect(await page.textContent("#event-id")).toBe(id);
	expect(await page.textContent("#event-data")).toBe(
		'{\n  "price": 1.0,\n  "big": 12345678901234567890,\n  "name": "é"\n}',
	);
});

test("bytes that are no text, and no bytes at all", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	const url = `${ringcast.url}/v1/publish/${subject}`;
	await fetch(url, { method: "POST", body: Uint8Array.of(0xff, 0x00, 0x41, 0x42) });
	await textOf(page, `${firstRow} .cell-data`, /^ff 00 41 42$/);
	await page.click(firstRow);
	expect(await page.textContent("#event-data")).toContain("ff 00 41 42");
	expect(await page.textContent("#event-data")).toContain("  ..AB");
	await fetch(url, { method: "POST" });
	await textOf(page, `${firstRow} .cell-data`, /^no data$/);
});

// What an event has in it is whatever a producer wrote.
test("markup in an event is shown as text", async () => {
	const subject = `${freshSubject()}.<img_src>`;
	const type = "<script>window.hacked=1</script>";
	const data = '"><svg onload=window.hacked=1><img src=x onerror="window.hacked=1">\u202eabc';
	const page = await openPage({ subject: `${subject.split(".").slice(0, 2).join(".")}.>` });
	await page.fill("#publish-subject", subject);
	await page.fill("#publish-type", type);
	await page.fill("#publish-data", data);
	await page.click("#publish-send");
	await textOf(page, "#publish-answer", /^Stored as/);
	await textOf(page, `${firstRow} .cell-data`, /onload/);
	expect(await page.textContent(`${firstRow} .cell-subject`)).toBe(subject);
	expect(await page.textContent(`${firstRow} .cell-type`)).toBe(type);
	await page.click(firstRow);
	expect(await page.textContent("#event-data")).toBe(data);
	expect(await page.locator("#rows, #inspector").locator(":is(img, script, svg)").count()).toBe(0);
	expect(await page.evaluate(() => "hacked" in window)).toBe(false);
});

test("the box publishes, and says in words what is refused", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await page.fill("#publish-subject", subject);
	await page.fill("#publish-type", "ürgent");
	await page.fill("#publish-data", "  hello\n");
	await page.click("#publish-send");
	const id = (await textOf(page, "#publish-answer", /^Stored as/)).replace("Stored as ", "");
	const row = page.locator(firstRow).filter({ hasText: id });
	await row.waitFor();
	expect(await row.locator(".cell-type").textContent()).toBe("ürgent");
	await row.click();
	expect(await page.textContent("#event-data")).toBe("  hello\n");

	// The same once more is another event: whoever presses twice means it.
	await page.press("#publish-data", "Control+Enter");
	await received(page, 2);

	await page.fill("#publish-subject", "elsewhere.x");
	await page.click("#publish-send");
	await textOf(page, "#publish-answer", /"elsewhere\.x" lies outside the subjects served here/);
	await page.fill("#publish-subject", `${subject}.>`);
	await page.click("#publish-send");
	await textOf(page, "#publish-answer", /subject:/);

	await page.fill("#publish-subject", subject);
	await page.check("#publish-end");
	await page.click("#publish-send");
	await textOf(page, "#refused", /the subjects have ended/);
	await received(page, 3);
});

test("an answer that was lost is asked for again under the same key", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	let lost = "";
	await page.route("**/v1/publish/**", async (route) => {
		lost = ((await (await route.fetch()).json()) as { id: string }).id;
		await route.abort(); // stored, but the page is not told
	});
	await page.fill("#publish-subject", subject);
	await page.fill("#publish-data", "once");
	await page.click("#publish-send");
	await textOf(page, "#publish-answer", /did not answer/);
	await page.unroute("**/v1/publish/**");
	await page.click("#publish-send");
	await textOf(page, "#publish-answer", new RegExp(`^Stored before as ${lost}$`));
	expect(await idsOf(subject)).toEqual([lost]);
});

test("a filter of several subjects and types, kept in the page's URL", async () => {
	const [a, b, c] = [freshSubject(), freshSubject(), freshSubject()];
	const page = await openPage({ subject: a });
	await page.fill("#subjects", `${a}, ${b}.*`);
	await page.fill("#types", "paid, message");
	await page.selectOption("#from", "oldest");
	await page.press("#subjects", "Enter");
	await textOf(page, "#status-text", /^Live$/);
	for (const [subject, type] of [
		[a, undefined],
		[a, "sent"],
		[`${b}.x`, "paid"],
		[b, "paid"],
		[c, "paid"],
	] as const) {
		await ringcast.publish(subject, "x", type);
	}
	await received(page, 2);
	expect(await page.locator(`${firstRow} .cell-subject`).allTextContents()).toEqual([`${b}.x`, a]);

	await page.reload();
	await received(page, 2);
	expect(await page.inputValue("#subjects")).toBe(`${a} ${b}.*`);
	expect(await page.inputValue("#types")).toBe("paid, message");
	expect(await page.inputValue("#from")).toBe("oldest");
});

test("what the gateway refuses is said in its words, beside the field", async () => {
	const page = await openPage();
	await page.fill("#subjects", "events..x");
	await page.click("text=Follow");
	await textOf(page, "#refused", /subject: .*events\.\.x/);
	expect(await page.getAttribute("#subjects", "aria-invalid")).toBe("true");
	await textOf(page, "#status-text", /^Refused$/);
	await page.fill("#subjects", "events.x");
	await page.selectOption("#from", "time");
	await page.fill("#position", "yesterday");
	await page.press("#position", "Enter");
	await textOf(page, "#refused", /from: .*yesterday/);
	expect(await page.getAttribute("#subjects", "aria-invalid")).toBe("false");
	expect(await page.getAttribute("#position", "aria-invalid")).toBe("true");
	await page.fill("#position", "5m");
	await page.press("#position", "Enter");
	await textOf(page, "#status-text", /^Live$/);
	expect(await page.isVisible("#refused")).toBe(false);
});

test("a pause keeps what comes", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await publishMany(subject, 1, 5);
	await received(page, 5);
	await page.click("#pause");
	await publishMany(subject, 6, 45);
	await textOf(page, "#tape-state", /^Paused: 40 wait$/);
	expect(await page.getAttribute("#grid", "aria-rowcount")).toBe("6");
	await page.click("#pause");
	await received(page, 45);
	expect(await shownIds(page)).toEqual(await idsOf(subject));
});

// The page keeps 16 MiB. What comes on top is the log's to keep.
test("a pause that brings more than the page keeps misses nothing", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await ringcast.publish(subject, "before");
	await received(page, 1);
	await page.click("#pause");
	const big = "x".repeat(1_000_000);
	for (let i = 0; i < 20; i++) {
		await ringcast.publish(subject, big);
	}
	await textOf(page, "#tape-state", /^Paused: 17 wait here, and what follows in the log/);
	await page.click("#pause");
	await received(page, 21);
	const ids = await idsOf(subject);
	expect(ids.length).toBe(21);
	expect(await shownIds(page)).toEqual(ids.slice(-16));
});

test("what one reads does not move", async () => {
	const subject = freshSubject();
	const ids = await publishMany(subject, 1, 60);
	const page = await openPage({ subject, from: "oldest" });
	await received(page, 60);
	await page.hover("#grid");
	await page.mouse.wheel(0, 400);
	await textOf(page, "#tape-state", /^Paused: 0 wait$/);
	await publishMany(subject, 61, 63);
	await textOf(page, "#tape-state", /^Paused: 3 wait$/);
	expect(await page.getAttribute("#grid", "aria-rowcount")).toBe(String(ids.length + 1));
	await page.mouse.wheel(0, -4000);
	await received(page, 63);
});

test("resumed after a row, and after an id that was typed, nothing is missing", async () => {
	const subject = freshSubject();
	const ids = await publishMany(subject, 1, 50);
	const page = await openPage({ subject, from: "oldest" });
	await received(page, 50);
	await page
		.locator(firstRow)
		.filter({ hasText: ids[44] as string })
		.click();
	await page.click("#inspector-resume");
	await received(page, 5);
	expect(await shownIds(page)).toEqual(ids.slice(45));
	expect(page.url()).toContain(`from=${ids[44]}`);

	await page.fill("#position", ids[9] as string);
	await page.click("text=Follow");
	await received(page, 40);
	expect(await shownIds(page)).toEqual(ids.slice(10));
});

test("disconnected and connected again, nothing is missing", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await publishMany(subject, 1, 3);
	await received(page, 3);
	await page.click("#connect");
	await textOf(page, "#status-text", /^Dropped$/);
	await publishMany(subject, 4, 30);
	await page.click("#connect");
	await received(page, 30);
	expect(await shownIds(page)).toEqual(await idsOf(subject));
});

test("a gateway that is killed: said, counted anew, and nothing missing", async () => {
	const subject = freshSubject();
	const page = await openPage({ subject });
	await publishMany(subject, 1, 10);
	await received(page, 10);
	await ringcast.kill();
	await textOf(page, "#status-text", /^Reconnecting$/);
	await textOf(page, "#silence", /has not answered since/);
	await ringcast.start();
	await textOf(page, "#status-text", /^Live$/);
	await page.locator("#silence").waitFor({ state: "hidden" });
	await publishMany(subject, 11, 15);
	await received(page, 15);
	await textOf(
		page,
		`${firstRow}[data-kind="note"] .cell-notice`,
		/lost for .* Resumed after \d+-/,
	);
	expect(await shownIds(page)).toEqual(await idsOf(subject));
	await textOf(page, "#intake-value", /^[\d.,]+ \/s$/);
	expect(await figure(page, "#fact-up")).toBeLessThan(60);
});

test("what is gone for good stands in the table", async () => {
	const small = await Ringcast.serve("--stream-max-events=100", "--ring-max-events=100");
	try {
		const page = await openPage({ subject: "events.x" }, {}, small.url);
		await small.publish("events.x", "before");
		await received(page, 1);
		await page.click("#connect");
		for (let i = 0; i < 150; i++) {
			await small.publish("events.x", `flood ${i}`);
		}
		await page.click("#connect");
		const row = page.locator(`${firstRow}[data-kind="event"]`).first();
		await row.filter({ hasText: "flood 149" }).waitFor();
		await page.click("#connect"); // so that scrolling is no pause
		const ids = await shownIds(page);
		await page.focus("#grid");
		await page.keyboard.press("End");
		const gap = await textOf(page, `${firstRow}[data-kind="gap"] .cell-notice`, /^Gap:/);
		expect(gap).toMatch(
			/^Gap: events after 1-\w+ .*\(expired\)\. The oldest event held is \d+-\w+\.$/,
		);
		expect(gap).toContain(` ${ids[1]}.`); // the first is what was there before
		expect(await page.textContent("#streams-note")).toMatch(/ gap/);
		expect(await page.textContent("#ring-events-text")).toBe("100 of 100 (100 %)");
	} finally {
		await small.stop();
	}
});

test("the charts move, and tell what the gateway counts", async () => {
	const demo = await Ringcast.demo();
	try {
		const page = await openPage({}, {}, demo.url);
		expect(await page.inputValue("#subjects")).toBe("events.>");
		await textOf(page, "#intake-value", /^[1-9][\d.,]* \/s$/);
		await textOf(page, "#deliveries-value", /^[1-9][\d.,]* \/s$/);
		await textOf(page, "#streams-value", /^1$/);
		for (const name of ["intake", "deliveries", "streams", "fill"]) {
			const plot = page.locator(`#${name}-plot`);
			const before = await plot.screenshot();
			await expect.poll(async () => before.equals(await plot.screenshot())).toBe(false);
		}
		const status = await (await fetch(`${demo.url}/v1/status`)).json();
		expect(await figure(page, "#ring-events-text")).toBeGreaterThan(0);
		expect(await figure(page, "#ring-events-text")).toBeLessThanOrEqual(status.ring.events + 1000);
		expect(await page.textContent("#ring-oldest")).toBe(status.ring.oldest);
		await textOf(page, "#nats-state", /^Connected$/);
		expect(await page.textContent("#nats-url")).toBe(status.nats.url);
		await page.hover("#intake-plot");
		await textOf(page, "#intake-value", / at \d\d:\d\d:\d\d$/);
	} finally {
		await demo.stop();
	}
});

test("a page that cannot be seen does not ask for the status", async () => {
	open = await visit(browser, "about:blank");
	const { page } = open;
	let asked = 0;
	let answered = 0;
	page.on("request", (request) => {
		asked += Number(request.url().endsWith("/v1/status"));
	});
	page.on("requestfinished", (request) => {
		answered += Number(request.url().endsWith("/v1/status"));
	});
	const show = async (visible: boolean) => {
		await page.evaluate((visible) => {
			Object.defineProperty(document, "hidden", { configurable: true, value: !visible });
			document.dispatchEvent(new Event("visibilitychange"));
		}, visible);
	};
	await page.clock.install();
	await page.goto(`${ringcast.url}/?subject=events.x`);
	await expect.poll(() => asked).toBe(1);
	while (asked < 4) {
		await page.clock.runFor(1_000);
		await expect.poll(() => answered).toBe(asked);
	}
	await show(false);
	await page.clock.runFor(30_000);
	expect(asked).toBe(4);
	await show(true);
	await expect.poll(() => asked).toBe(5);
});

test("everything is in reach of the keyboard", async () => {
	const subject = freshSubject();
	const ids = await publishMany(subject, 1, 60);
	const page = await openPage({ subject, from: "oldest" });
	await received(page, 60);
	await page.keyboard.press("/");
	expect(await page.evaluate(() => document.activeElement?.id)).toBe("subjects");
	await page.keyboard.type("events.>/ ");
	expect(await page.inputValue("#subjects")).toBe("events.>/ ");
	await page.evaluate(() => (document.activeElement as HTMLElement).blur());

	await page.keyboard.press("Space");
	await textOf(page, "#tape-state", /^Paused: 0 wait$/);
	await page.keyboard.press("Space");
	await textOf(page, "#tape-state", /^Showing 60/);

	await tabTo(page, "#pause");
	await page.keyboard.press("Enter");
	await textOf(page, "#tape-state", /^Paused/);
	await page.keyboard.press("Space"); // the button's own
	await textOf(page, "#tape-state", /^Showing/);

	await tabTo(page, "#grid");
	await page.keyboard.press("ArrowDown");
	await textOf(page, "#event-id", new RegExp(`^${ids[59]}$`));
	await page.keyboard.press("ArrowDown");
	await textOf(page, "#event-id", new RegExp(`^${ids[58]}$`));
	await page.keyboard.press("End");
	await textOf(page, "#event-id", new RegExp(`^${ids[0]}$`));
	await page
		.locator(firstRow)
		.filter({ hasText: ids[0] as string })
		.waitFor();
	const active = await page.getAttribute("#grid", "aria-activedescendant");
	expect(await page.textContent(`#${active} .cell-id`)).toBe(ids[0]);
	expect(await page.getAttribute(`#${active}`, "aria-selected")).toBe("true");
	await page.keyboard.press("Home");
	await textOf(page, "#event-id", new RegExp(`^${ids[59]}$`));
	await page.keyboard.press("ArrowDown");

	await tabTo(page, "#inspector-resume");
	await page.keyboard.press("Enter");
	await received(page, 1);
	await page.keyboard.press("Escape");
	expect(await page.isVisible("#inspector-event")).toBe(false);

	for (const field of [
		"#publish-subject",
		"#publish-type",
		"#publish-data",
		"#publish-end",
		"#publish-send",
	]) {
		await tabTo(page, field);
	}
});

// The contrast of what is under the pointer, chosen, refused and lost counts too.
describe.each(SCREENS)("on %s", (_, options) => {
	test("nothing is blank, cut off or hard to read", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const subject = `${freshSubject()}.with.a.long.name.that.does.not.fit.into.a.column`;
			const page = await openPage({ subject }, options, proxy.url);
			expect(await isDark(page)).toBe(options.colorScheme === "dark");
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);

			await ringcast.publish(subject, "no white space in it ".repeat(50).replaceAll(" ", ""));
			await ringcast.publish(subject, JSON.stringify({ text: "x".repeat(300) }), "a type");
			await fetch(`${ringcast.url}/v1/publish/${subject}`, {
				method: "POST",
				body: Uint8Array.of(255),
			});
			await received(page, 3);
			proxy.cut();
			await textOf(page, "#status-text", /^Reconnecting$/);
			proxy.restore();
			await textOf(page, "#status-text", /^Live$/);
			await textOf(page, `${firstRow} .cell-notice`, /The connection was lost/);
			await page.locator(firstRow).filter({ hasText: "a type" }).click();
			await textOf(page, "#event-data", /xxxx/);
			await page.click("#pause");
			await textOf(page, "#status-text", /^Paused$/);
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);

			await page.click("#inspector-close");
			await page.fill("#publish-subject", "elsewhere");
			await page.click("#publish-send");
			await textOf(page, "#publish-answer", /outside/);
			await page.fill("#subjects", subject.replaceAll(".", ".."));
			await page.selectOption("#from", "id");
			await page.fill("#position", "1-rubbish");
			await page.press("#position", "Enter");
			await textOf(page, "#refused", /subject:/);
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);

			await page.fill("#subjects", subject);
			await page.press("#subjects", "Enter");
			await textOf(page, `${firstRow}[data-kind="gap"] .cell-notice`, /^Gap: 1-rubbish is not/);
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);
		} finally {
			await proxy.close();
		}
	});
});

test("20,000 events a second: the tab answers, in bounded space", async () => {
	const demo = await Ringcast.demo("--quotes-per-second=20000");
	try {
		const page = await openPage({}, {}, demo.url);
		const total = () =>
			page.textContent("#tape-state").then((text) => count(text, / of ([\d,]+) /));
		await expect.poll(total, { timeout: 40_000 }).toBeGreaterThan(100_000);
		expect(await page.textContent("#tape-state")).toMatch(/^Showing 500 of /);
		expect(await page.locator("#rows .row").count()).toBeLessThan(60);

		// A frame, a row and a pause come while the flood goes on.
		await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
		await page.locator(firstRow).first().dispatchEvent("pointerdown");
		await page.locator(firstRow).first().dispatchEvent("click");
		await textOf(page, "#event-data", /"symbol"/);
		await page.click("#pause");
		await textOf(page, "#tape-state", /^Paused: 5,000 wait here, and what follows in the log/);
		const before = await page.locator(`${firstRow} .cell-id`).first().textContent();
		await page.click("#pause");
		await expect
			.poll(() => page.locator(`${firstRow} .cell-id`).first().textContent())
			.not.toBe(before);
		await textOf(page, "#status-text", /^Live$/);
	} finally {
		await demo.stop();
	}
});

function count(text: string | null, pattern: RegExp): number {
	return Number(pattern.exec(text ?? "")?.[1]?.replaceAll(",", "") ?? 0);
}
