import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import { figure, textOf, type Visit, visit } from "./visit.ts";

const LAPTOP = { width: 1440, height: 900 };
const SMALL_LAPTOP = { width: 1280, height: 720 };
const TABLET = { width: 820, height: 1180 };
const PHONE = { width: 390, height: 844 };

let ringcast: Ringcast;
let browser: Browser;
let open: Visit | undefined;

beforeAll(async () => {
	[ringcast, browser] = await Promise.all([Ringcast.demo(), launch()]);
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

async function openPage(options: BrowserContextOptions = {}): Promise<Page> {
	open = await visit(browser, ringcast.url, options);
	await textOf(open.page, "#status-text", /^Live$/);
	return open.page;
}

/** Waits until an element's text is another one than it was. */
async function changes(page: Page, selector: string): Promise<void> {
	const before = await textOf(page, selector, /\S/);
	await page.waitForFunction(([s, before]) => document.querySelector(s)?.textContent !== before, [
		selector,
		before,
	] as const);
}

test("the page moves: prices, ids, counts, notifications", async () => {
	const page = await openPage();
	await page.locator("#ticker-rows tr").nth(11).waitFor();
	expect(await page.locator("#ticker-rows tr").count()).toBe(12);
	await changes(page, "#ticker-rows tr:first-child .price");
	await changes(page, '.stream[data-stream="Quotes"] .stream-id');
	await changes(page, '.stream[data-stream="Quotes"] .stream-count');
	await changes(page, '.stream[data-stream="Notifications"] .stream-id');
	await page.locator("#feed li").first().waitFor();
	expect(await figure(page, "#rate")).toBeGreaterThan(0);
	expect(await page.textContent('.stream[data-stream="Quotes"] .stream-order')).toBe("ids rising");
	expect(await page.isVisible("#ticker-empty")).toBe(false);
});

test("the chart follows the symbol chosen, by pointer and by key", async () => {
	const page = await openPage();
	await page.click('tr[data-symbol="KITE"] .price');
	await textOf(page, "#chart-title", /^KITE$/);
	await page.focus('tr[data-symbol="ECHO"] button');
	await page.keyboard.press("Enter");
	await textOf(page, "#chart-title", /^ECHO$/);
	expect(await page.getAttribute('tr[data-symbol="ECHO"] button', "aria-pressed")).toBe("true");
	expect(await page.getAttribute('tr[data-symbol="KITE"] button', "aria-pressed")).toBe("false");
});

// The text of an event is whatever a producer wrote.
test("markup in a notification is shown as text", async () => {
	const page = await openPage();
	const title = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
	const body = "</p><svg onload=window.hacked=1>";
	const data = JSON.stringify({ user: "<b>eve</b>", title, body, time: new Date() });
	await ringcast.publish("events.notify.eve", data, "notification");
	const item = page.locator("#feed li").filter({ hasText: "onerror" });
	await item.waitFor();
	expect(await item.locator(".notification-title").textContent()).toBe(title);
	expect(await item.locator(".notification-body").textContent()).toBe(body);
	expect(await item.locator(".notification-user").textContent()).toBe("<b>eve</b>");
	expect(await page.locator("#feed :is(img, script, svg, b)").count()).toBe(0);
	expect(await page.evaluate(() => "hacked" in window)).toBe(false);
});

test("an event that is no JSON and has no name is shown as it is", async () => {
	const page = await openPage();
	await ringcast.publish("events.notify.you", "  just text  ");
	await textOf(page, "#feed .notification-title", /just text/);
});

test("a flood of events is received whole, in order, in bounded space", async () => {
	const page = await openPage();
	const count = () => figure(page, '.stream[data-stream="Notifications"] .stream-count');
	const before = await count();
	const batch = Array.from({ length: 25 }, (_, i) => i);
	for (let i = 0; i < 40; i++) {
		await Promise.all(batch.map((j) => ringcast.publish("events.notify.flood", `flood ${i} ${j}`)));
	}
	await expect.poll(count, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 1000);
	expect(await page.locator("#feed li").count()).toBe(50);
	expect(await page.textContent('.stream[data-stream="Notifications"] .stream-order')).toBe(
		"ids rising",
	);
});

test("without a producer the page says how to get one", async () => {
	const empty = await Ringcast.serve();
	try {
		open = await visit(browser, empty.url);
		const { page } = open;
		await textOf(page, "#status-text", /^Live$/);
		await textOf(page, "#ticker-empty", /ringcast demo/);
		await textOf(page, "#feed-empty", /ringcast pub events\.notify\.you/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await empty.publish("events.notify.you", '{"title":"Hello"}');
		await textOf(page, "#feed .notification-title", /^Hello$/);
		expect(await page.isVisible("#feed-empty")).toBe(false);
	} finally {
		await empty.stop();
	}
});

test("a gateway that does not serve the page's subjects is quoted", async () => {
	const other = await Ringcast.serve("--subjects=events.notify.>");
	try {
		open = await visit(browser, other.url);
		await textOf(open.page, "#refused", /events\.quotes\.>.* lies outside/);
		await textOf(open.page, "#status-text", /^Reconnecting$/);
		await textOf(open.page, "#verdict", /^Not cut off yet/);
	} finally {
		await other.stop();
	}
});

describe.each([
	["a small laptop, light", { viewport: SMALL_LAPTOP, colorScheme: "light" }],
	["a tablet, light", { viewport: TABLET, colorScheme: "light" }],
	["a laptop, light", { viewport: LAPTOP, colorScheme: "light" }],
	["a laptop, dark", { viewport: LAPTOP, colorScheme: "dark" }],
	["a phone, light", { viewport: PHONE, isMobile: true, colorScheme: "light" }],
	["a phone, dark", { viewport: PHONE, isMobile: true, colorScheme: "dark" }],
] as const)("on %s", (_, options) => {
	test("nothing is blank, cut off or hard to read", async () => {
		const page = await openPage(options);
		await page.locator("#ticker-rows tr").nth(11).waitFor();
		await page.locator("#feed li").first().waitFor();
		await page.waitForFunction(paintedCanvas);

		const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
		const brightness = (ground.match(/\d+/g) ?? []).slice(0, 3).map(Number);
		expect(Math.max(...brightness) < 128).toBe(options.colorScheme === "dark");

		expect(await page.evaluate(tooWide)).toEqual([]);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);

		await page.click("#toggle");
		await textOf(page, "#status-text", /^Dropped$/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await page.click("#toggle");
		await textOf(page, "#verdict", /nothing missing/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
	});
});

/** Returns the parts of the page whose content is wider than they are. */
function tooWide(): string[] {
	const parts = [document.documentElement, ...document.querySelectorAll(".card, .stream")];
	return parts.filter((p) => p.scrollWidth > p.clientWidth).map((p) => p.className || p.tagName);
}

/** Whether the chart has drawn more than its ground. */
function paintedCanvas(): boolean {
	const canvas = document.querySelector<HTMLCanvasElement>("#plot canvas");
	const context = canvas?.getContext("2d");
	if (!canvas || !context || canvas.width === 0) {
		return false;
	}
	const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
	const colours = new Set<number>();
	for (let i = 0; i < data.length; i += 4) {
		colours.add(((data[i] ?? 0) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0));
	}
	return colours.size > 10;
}
