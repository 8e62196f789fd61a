import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { figure, textOf, type Visit, visit } from "./visit.ts";

const QUOTES = "events.quotes.>";
const NOTICES = "events.notify.>";
/** How many values from="last" gives before the first live one. */
const SYMBOLS = 12;

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

async function openPage(url: string): Promise<Page> {
	open = await visit(browser, url);
	await textOf(open.page, "#status-text", /^Live$/);
	return open.page;
}

/** Waits until a stream of the page has received more than this. */
async function receivedMoreThan(page: Page, subject: string, n: number): Promise<void> {
	await page.waitForFunction(([s, n]) => (window.seen[s]?.length ?? 0) > n, [subject, n] as const);
}

/** Waits until the log holds more of a subject than this. */
async function publishedMoreThan(subject: string, n: number): Promise<void> {
	await expect
		.poll(async () => (await ringcast.read(subject)).length, { timeout: 30_000 })
		.toBeGreaterThan(n);
}

/**
 * Compares what the browser dispatched with what the log holds, from a number of
 * events on: all of it, in order, once.
 */
async function expectNothingMissing(page: Page, subject: string, from: number): Promise<void> {
	const seen = (await page.evaluate((s) => window.seen[s], subject)) ?? [];
	const live = seen.slice(from);
	const held = (await ringcast.read(subject)).map((e) => e.id);
	const first = held.indexOf(live[0] as string);
	expect(first).toBeGreaterThanOrEqual(0);
	expect(live).toEqual(held.slice(first, first + live.length));
}

test("drop and resume: nothing is missing", async () => {
	const page = await openPage(ringcast.url);
	await receivedMoreThan(page, QUOTES, SYMBOLS);

	await page.click("#toggle");
	await textOf(page, "#status-text", /^Dropped$/);
	const before = await page.evaluate((s) => window.seen[s]?.length ?? 0, QUOTES);
	await publishedMoreThan(QUOTES, (await ringcast.read(QUOTES)).length + 20);
	expect(await page.evaluate((s) => window.seen[s]?.length, QUOTES)).toBe(before);

	await page.click("#toggle");
	await textOf(page, "#verdict", /nothing missing, nothing twice/);
	expect(await figure(page, "#published")).toBeGreaterThan(20);
	expect(await figure(page, "#arrived")).toBe(await figure(page, "#published"));
	expect(await figure(page, "#missing")).toBe(0);
	await expectNothingMissing(page, QUOTES, SYMBOLS);
	await expectNothingMissing(page, NOTICES, 0);
});

test("dropped for five seconds, it comes back by itself", async () => {
	const page = await openPage(ringcast.url);
	await receivedMoreThan(page, QUOTES, SYMBOLS);
	await page.click("#pause");
	await textOf(page, "#status-text", /^Dropped$/);
	await textOf(page, "#verdict", /nothing missing, nothing twice/);
	expect(await figure(page, "#published")).toBeGreaterThan(0);
});

test("a connection cut by the network resumes by itself, with nothing missing", async () => {
	const proxy = await TcpProxy.to(ringcast.url);
	try {
		const page = await openPage(proxy.url);
		await receivedMoreThan(page, QUOTES, SYMBOLS);
		proxy.cut();
		await textOf(page, "#status-text", /^Reconnecting$/);
		await publishedMoreThan(QUOTES, (await ringcast.read(QUOTES)).length + 10);
		proxy.restore();
		await textOf(page, "#verdict", /nothing missing, nothing twice/);
		expect(await figure(page, "#arrived")).toBeGreaterThan(10);
		await expectNothingMissing(page, QUOTES, SYMBOLS);
	} finally {
		await proxy.close();
	}
});

// DESIGN part 4, priming: a client cut off before its first event has no id of its
// own to come back with, were it not for the block that opens the stream.
test("an EventSource that has seen no event yet misses nothing", async () => {
	const proxy = await TcpProxy.to(ringcast.url);
	try {
		// A page of the same origin that opens no stream of its own.
		open = await visit(browser, `${proxy.url}/v1/status`);
		const page = open.page;
		await page.evaluate(() => {
			new EventSource("/v1/stream?subject=events.quiet.x");
		});
		await proxy.hasSent(/\nid: \d+-\w+\n\n/);
		proxy.cut();
		const ids: string[] = [];
		for (let i = 0; i < 5; i++) {
			ids.push(await ringcast.publish("events.quiet.x", `quiet ${i}`));
		}
		proxy.restore();
		await receivedMoreThan(page, "events.quiet.x", ids.length - 1);
		ids.push(await ringcast.publish("events.quiet.x", "live again"));
		await receivedMoreThan(page, "events.quiet.x", ids.length - 1);
		expect(await page.evaluate(() => window.seen["events.quiet.x"])).toEqual(ids);
	} finally {
		await proxy.close();
	}
});

test("a gateway killed and started again is resumed with nothing missing", async () => {
	const page = await openPage(ringcast.url);
	await receivedMoreThan(page, QUOTES, SYMBOLS);
	await ringcast.kill();
	await textOf(page, "#status-text", /^Reconnecting$/);
	await ringcast.start();
	await textOf(page, "#verdict", /nothing missing, nothing twice/);
	const before = await page.evaluate((s) => window.seen[s]?.length ?? 0, QUOTES);
	await receivedMoreThan(page, QUOTES, before + 10);
	await expectNothingMissing(page, QUOTES, SYMBOLS);
	await expectNothingMissing(page, NOTICES, 0);
});

test("what is gone for good is told", async () => {
	const small = await Ringcast.demo("--stream-max-events=100", "--ring-max-events=100");
	try {
		const page = await openPage(small.url);
		await receivedMoreThan(page, QUOTES, 0);
		await receivedMoreThan(page, NOTICES, 0);
		await page.click("#toggle");
		for (let i = 0; i < 150; i++) {
			await small.publish("events.notify.flood", `flood ${i}`);
		}
		await page.click("#toggle");
		expect(await textOf(page, "#gap", /Gap/)).toContain("expired");
		await textOf(page, "#verdict", /the gateway says so/);
		expect(await figure(page, "#missing")).toBe(0);
		await textOf(page, "#feed .notification-title", /^flood 149$/);
	} finally {
		await small.stop();
	}
});
