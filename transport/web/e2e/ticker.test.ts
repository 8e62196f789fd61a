import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import {
	changes,
	figure,
	freeze,
	isDark,
	publishedMoreThan,
	SCREENS,
	tabTo,
	textOf,
	tooWide,
	type Visit,
	visit,
} from "./visit.ts";

const QUOTES = "events.quotes.>";
const SYMBOLS = 200;

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

/** Opens the page and waits for all symbols. */
async function openPage(base = ringcast.url, options: BrowserContextOptions = {}): Promise<Page> {
	open = await visit(browser, `${base}/ticker`, options);
	await textOf(open.page, "#status-text", /^Live$/);
	await textOf(open.page, "#found", new RegExp(`^${SYMBOLS} symbols$`));
	return open.page;
}

/** The symbols in the table, from the top. */
async function shownSymbols(page: Page): Promise<string[]> {
	return await page.locator("#ticker-rows tr:visible .symbol").allTextContents();
}

/** The first number of a column, once the row has been filled. */
async function first(page: Page, selector: string): Promise<number> {
	const text = await textOf(page, `#ticker-rows tr:first-child ${selector}`, /\d/);
	const thousands = { K: 1e3, M: 1e6 }[text.at(-1) ?? ""] ?? 1;
	return Number.parseFloat(text.replace("−", "-").replace(/[^\d.-]/g, "")) * thousands;
}

describe("what is shown", () => {
	test("it moves: prices, sparklines, chart and figures", async () => {
		const page = await openPage();
		await changes(page, "#ticker-rows tr:first-child .price");
		await page.waitForFunction(
			() =>
				(document.querySelector("#ticker-rows polyline")?.getAttribute("points") ?? "").length > 9,
		);
		await page.waitForFunction(paintedCanvas);
		await changes(page, "#chart-price");
		expect(await figure(page, "#received")).toBeGreaterThan(0);
		expect(await figure(page, "#published")).toBeGreaterThan(0);
		expect(await textOf(page, "#lag-median", /^[\d,]+ ms$/)).toBeDefined();
		expect(await textOf(page, "#lag-worst", /^[\d,]+ ms$/)).toBeDefined();
		expect(await page.isVisible("#ticker-empty")).toBe(false);
	});

	test("the clock of the reader is hours off, and neither lag nor chart minds", async () => {
		open = await visit(browser, "about:blank");
		const { page } = open;
		await page.addInitScript(() => {
			const off = 3 * 3_600_000;
			const { now } = Date;
			Date.now = () => now() + off;
			Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + off });
		});
		await page.goto(`${ringcast.url}/ticker`);
		await textOf(page, "#lag-worst", /^[\d,]+ ms$/);
		expect(await figure(page, "#lag-worst")).toBeLessThan(60_000);
		await page.waitForFunction(paintedCanvas);
	});

	test("the chart follows the symbol chosen, by pointer and by key, with its past", async () => {
		const page = await openPage();
		await page.click('tr[data-symbol="ACMX"] .price');
		await textOf(page, "#chart-title", /^ACMX$/);
		await page.waitForFunction(paintedCanvas);
		await page.focus('tr[data-symbol="ACMX"] button');
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
		await textOf(page, "#chart-title", /^BOLA$/);
		expect(await page.getAttribute('tr[data-symbol="BOLA"] button', "aria-pressed")).toBe("true");
		expect(await page.getAttribute('tr[data-symbol="ACMX"] button', "aria-pressed")).toBe("false");
	});

	test("search shows what matches", async () => {
		const page = await openPage();
		await page.fill("#search", "kit");
		await textOf(page, "#found", /^10 of 200 symbols$/);
		expect(await shownSymbols(page)).toEqual(
			["A", "E", "I", "K", "N", "O", "R", "S", "T", "X"].map((end) => `KIT${end}`),
		);
		await textOf(page, 'tr[data-symbol="KITE"] .price', /\d/); // now in sight, so it is filled
		await page.fill("#search", "nothing like it");
		await textOf(page, "#found", /^0 of 200 symbols$/);
		await page.fill("#search", "");
		await textOf(page, "#found", /^200 symbols$/);
	});

	test("sort by symbol, change and volume, both ways", async () => {
		const page = await openPage();
		const names = await shownSymbols(page);
		expect(names).toEqual([...names].sort());
		for (const name of ["change", "volume"]) {
			await page.click(`[data-column="${name}"]`);
			await textOf(page, `th[aria-sort="descending"]`, new RegExp(name, "i"));
			await expect.poll(() => shownSymbols(page)).not.toEqual(names);
			const [top = ""] = await shownSymbols(page);
			const most = await first(page, `.${name}`);
			await page.click(`[data-column="${name}"]`);
			await textOf(page, `th[aria-sort="ascending"]`, new RegExp(name, "i"));
			await expect.poll(async () => (await shownSymbols(page))[0]).not.toBe(top);
			expect(most).toBeGreaterThan(await first(page, `.${name}`));
		}
		await page.click('[data-column="symbol"]');
		await expect.poll(() => shownSymbols(page)).toEqual(names);
		await page.click('[data-column="symbol"]');
		await expect.poll(() => shownSymbols(page)).toEqual([...names].reverse());
	});

	// The text of an event is whatever a producer wrote.
	test("markup in a quote is shown as text", async () => {
		const own = await Ringcast.serve();
		try {
			open = await visit(browser, `${own.url}/ticker`);
			const { page } = open;
			await textOf(page, "#ticker-empty", /ringcast demo/);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);
			const symbol = "<img src=x onerror=a()>";
			const quote = { symbol, price: 12.5, change: 1, volume: 7, time: new Date() };
			await own.publish("events.quotes.evil", JSON.stringify(quote));
			await own.publish("events.quotes.none", "this is no quote");
			await textOf(page, "#ticker-rows .symbol", /^<img src=x onerror=a\(\)>$/);
			await textOf(page, "#chart-title", /^<img src=x onerror=a\(\)>$/);
			expect(await page.locator("main img").count()).toBe(0);
			expect(await shownSymbols(page)).toHaveLength(1);
		} finally {
			open?.errors.splice(0); // the log is asked for a subject that cannot be one
			await own.stop();
		}
	});

	test("a gateway that does not serve the quotes is quoted", async () => {
		const other = await Ringcast.serve("--subjects=events.notify.>");
		try {
			open = await visit(browser, `${other.url}/ticker`);
			await textOf(open.page, "#refused", /events\.quotes\.>.* lies outside/);
			await textOf(open.page, "#status-text", /^Refused$/);
		} finally {
			await other.stop();
		}
	});
});

describe("a cut", () => {
	test("by the user: it says what was published, and that the newest came at once", async () => {
		const page = await openPage();
		await page.click("#toggle");
		await textOf(page, "#status-text", /^Dropped$/);
		await textOf(page, "#published", /^–$/);
		const price = await page.textContent("#chart-price");
		await publishedMoreThan(ringcast, QUOTES, (await ringcast.read(QUOTES)).length + 300);
		expect(await page.textContent("#chart-price")).toBe(price);
		await page.click("#toggle");
		const text = await textOf(page, "#resumed", /Published meanwhile.*newest came at once/);
		const [, published = "", symbols = ""] =
			/log: ([\d,]+) events\. Of ([\d,]+) symbols/.exec(text) ?? [];
		expect(Number(published.replace(",", ""))).toBeGreaterThan(300);
		expect(Number(symbols)).toBeGreaterThan(50);
		expect(Number(symbols)).toBeLessThanOrEqual(SYMBOLS);
		await textOf(page, "#legend", /cut off/);
		await changes(page, "#ticker-rows tr:first-child .price");
	});

	test("of five seconds ends by itself", async () => {
		const page = await openPage();
		await page.click("#pause");
		await textOf(page, "#status-text", /^Dropped$/);
		await textOf(page, "#status-text", /^Live$/);
		await textOf(page, "#resumed", /Published meanwhile/);
	});

	test("by going offline: it comes back online", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const page = await openPage(proxy.url);
			await page.context().setOffline(true);
			proxy.cut(); // Chromium keeps connections that are open when it is told to be offline
			await textOf(page, "#status-text", /^Reconnecting$/);
			proxy.restore();
			await page.context().setOffline(false);
			await textOf(page, "#resumed", /Published meanwhile/);
			await changes(page, "#ticker-rows tr:first-child .price");
		} finally {
			await proxy.close();
		}
	});

	test("while the tab is frozen: it shows the newest when it is back", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const page = await openPage(proxy.url);
			const thaw = await freeze(page);
			proxy.cut();
			await publishedMoreThan(ringcast, QUOTES, (await ringcast.read(QUOTES)).length + 100);
			proxy.restore();
			await thaw();
			await textOf(page, "#resumed", /Published meanwhile/);
			await changes(page, "#ticker-rows tr:first-child .price");
		} finally {
			await proxy.close();
		}
	});

	test("by a gateway killed and started again", async () => {
		const page = await openPage();
		await ringcast.kill();
		await textOf(page, "#status-text", /^Reconnecting$/);
		await ringcast.start();
		await textOf(page, "#resumed", /Published meanwhile/);
		await changes(page, "#ticker-rows tr:first-child .price");
	});
});

test("with the keyboard alone", async () => {
	const page = await openPage();
	await tabTo(page, "#search");
	await page.keyboard.type("LUM");
	await textOf(page, "#found", /^10 of 200/);
	await tabTo(page, "#ticker-rows button");
	await page.keyboard.press("End");
	await page.keyboard.press("ArrowUp");
	await page.keyboard.press("Enter");
	await textOf(page, "#chart-title", /^LUMT$/);
	await page.keyboard.press("Shift+Tab");
	await page.keyboard.press("Enter");
	await textOf(page, 'th[aria-sort="descending"]', /Volume/);
});

test("20,000 events a second do not freeze the tab", async () => {
	const busy = await Ringcast.demo("--quotes-per-second=20000");
	try {
		const page = await openPage(busy.url, { reducedMotion: "no-preference" });
		await expect
			.poll(() => figure(page, "#published"), { timeout: 30_000 })
			.toBeGreaterThan(10_000);
		await page.evaluate(watchFrames);
		const seen = await page.evaluate(() => window.frameLog.count);
		for (const symbol of ["ACMK", "ACMA", "ACMX", "ACMI"]) {
			await page.click(`tr[data-symbol="${symbol}"] .price`);
			await textOf(page, "#chart-title", new RegExp(`^${symbol}$`));
			await changes(page, "#chart-price");
		}
		await page.fill("#search", "KIT");
		await textOf(page, "#found", /^10 of 200/);
		await page.click('[data-column="change"]');
		await page.waitForFunction((n) => window.frameLog.count > n + 60, seen);
		const { count, startedAt, gaps, longTasks } = await page.evaluate(() => window.frameLog);
		const seconds = ((await page.evaluate(() => performance.now())) - startedAt) / 1000;
		const sorted = gaps.sort((a, b) => a - b);
		console.info(
			`published ${await figure(page, "#published")}/s, received ${await figure(page, "#received")}/s; ` +
				`${(count / seconds).toFixed(0)} frames/s; ` +
				`between two frames ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms (median), ` +
				`${sorted.at(-1)?.toFixed(0)} ms (most); long tasks: ${longTasks.length} in ` +
				`${seconds.toFixed(1)} s, ${Math.max(0, ...longTasks).toFixed(0)} ms the longest`,
		);
		expect(await page.isVisible("#gap")).toBe(false);
		expect(await page.textContent("#status-text")).toBe("Live");
	} finally {
		await busy.stop();
	}
});

describe.each(SCREENS)("on %s", (_, options) => {
	test("nothing is blank, cut off or hard to read", async () => {
		const page = await openPage(ringcast.url, options);
		await page.waitForFunction(paintedCanvas);
		expect(await isDark(page)).toBe(options.colorScheme === "dark");
		expect(await tooWide(page)).toEqual([]);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await page.click("summary");
		await page.click("#toggle");
		await textOf(page, "#status-text", /^Dropped$/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await page.click("#toggle");
		await textOf(page, "#resumed", /Published meanwhile/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		expect(await tooWide(page)).toEqual([]);
	});
});

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

declare global {
	interface Window {
		frameLog: { count: number; startedAt: number; gaps: number[]; longTasks: number[] };
	}
}

/** Notes every frame, the time since the one before, and tasks of 50 ms or more. */
function watchFrames(): void {
	const frames = {
		count: 0,
		startedAt: performance.now(),
		gaps: [] as number[],
		longTasks: [] as number[],
	};
	window.frameLog = frames;
	new PerformanceObserver((list) => {
		frames.longTasks.push(...list.getEntries().map((entry) => entry.duration));
	}).observe({ type: "longtask" });
	let previous = performance.now();
	const next = () => {
		const now = performance.now();
		frames.count++;
		frames.gaps.push(now - previous);
		previous = now;
		requestAnimationFrame(next);
	};
	requestAnimationFrame(next);
}
