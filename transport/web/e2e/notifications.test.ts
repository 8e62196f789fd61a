import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import {
	figure,
	freeze,
	isDark,
	SCREENS,
	tabTo,
	textOf,
	tooWide,
	type Visit,
	visit,
	visitIn,
} from "./visit.ts";

/** How many notifications a page keeps. */
const MOST_SHOWN = 200;

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

/** Opens the page of a user whom no other test notifies. */
async function openPage(
	user: string,
	base = ringcast.url,
	options: BrowserContextOptions = {},
): Promise<Page> {
	open = await visit(browser, `${base}/notifications?user=${user}`, options);
	await textOf(open.page, "#status-text", /^Live$/);
	return open.page;
}

/** Notifies a user so many times, and returns the ids. */
async function notify(user: string, times: number, from = ringcast): Promise<string[]> {
	const ids: string[] = [];
	for (let i = 1; i <= times; i++) {
		const data = JSON.stringify({ user, title: `No. ${i}`, body: "Hello", time: new Date() });
		ids.push(await from.publish(`events.notify.${user}`, data, "notification"));
	}
	return ids;
}

/** The ids in the list, oldest first. */
async function shownIds(page: Page): Promise<string[]> {
	const ids = await page
		.locator("#feed li")
		.evaluateAll((items) => items.map((item) => (item as HTMLElement).dataset["id"] ?? ""));
	return ids.reverse();
}

/** Waits until the list is what the log holds: all of it, in order, once. */
async function expectAllShown(page: Page, user: string): Promise<void> {
	const held = (await ringcast.read(`events.notify.${user}`)).map((e) => e.id);
	await expect.poll(() => shownIds(page), { timeout: 30_000 }).toEqual(held.slice(-MOST_SHOWN));
}

async function expectNothingMissing(page: Page, user: string, published: number): Promise<void> {
	await textOf(page, "#verdict", /nothing missing, nothing twice/);
	expect(await figure(page, "#published")).toBe(published);
	expect(await figure(page, "#arrived")).toBe(published);
	expect(await figure(page, "#missing")).toBe(0);
	expect(await page.textContent("#order")).toBe("ids rising");
	await expectAllShown(page, user);
}

describe("what is shown", () => {
	test("the demo's notifications arrive", async () => {
		const page = await openPage("*"); // of all users: of one there are few
		await page.locator("#feed li").first().waitFor();
		const before = await page.locator("#feed li").count();
		await expect
			.poll(() => page.locator("#feed li").count(), { timeout: 40_000 })
			.toBeGreaterThan(before);
		await expect.poll(() => page.title()).toMatch(/^\(\d+\) Notifications/);
	});

	test("a user sees their own, and chooses another", async () => {
		await notify("dora", 1);
		await notify("dan", 2);
		const page = await openPage("dora");
		await expectAllShown(page, "dora");
		await page.fill("#other-user", "dan");
		await page.press("#other-user", "Enter");
		await textOf(page, "#user", /^dan$/);
		await expectAllShown(page, "dan");
		await page.click('#users a:has-text("carol")');
		await textOf(page, "#user", /^carol$/);
		expect(await page.getAttribute('#users a:has-text("carol")', "aria-current")).toBe("true");
	});

	// The text of an event is whatever a producer wrote.
	test("markup is shown as text", async () => {
		const page = await openPage("eve");
		const title = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
		const body = "</p><svg onload=window.hacked=1>";
		const data = JSON.stringify({ user: "eve", title, body, time: new Date() });
		await ringcast.publish("events.notify.eve", data, "notification");
		const item = page.locator("#feed li");
		await item.waitFor();
		expect(await item.locator(".notification-title").textContent()).toBe(title);
		expect(await item.locator(".notification-body").textContent()).toBe(body);
		expect(await page.locator("#feed :is(img, script, svg)").count()).toBe(0);
		expect(await page.evaluate(() => "hacked" in window)).toBe(false);
	});

	test("markup in the page's own URL is shown as text", async () => {
		const user = "<img/src=x/onerror=window.hacked=1>";
		open = await visit(browser, `${ringcast.url}/notifications?user=${encodeURIComponent(user)}`);
		await textOf(open.page, "#user", /onerror/);
		expect(await open.page.evaluate(() => "hacked" in window)).toBe(false);
	});

	test("an event that is no JSON and has no name is shown as it is", async () => {
		const page = await openPage("you");
		await textOf(page, "#feed-empty", /ringcast pub events\.notify\.you "Hello"/);
		await ringcast.publish("events.notify.you", "  just text  ");
		await textOf(page, "#feed .notification-title", /just text/);
		expect(await page.isVisible("#feed-empty")).toBe(false);
	});

	test("a flood is received whole, in order, in bounded space", async () => {
		const page = await openPage("flood");
		const batch = Array.from({ length: 25 }, (_, i) => i);
		for (let i = 0; i < 40; i++) {
			await Promise.all(batch.map((j) => ringcast.publish("events.notify.flood", `${i} ${j}`)));
		}
		await expect.poll(() => figure(page, "#received"), { timeout: 30_000 }).toBe(1000);
		await expectAllShown(page, "flood");
		expect(await page.locator("#feed li").count()).toBe(MOST_SHOWN);
		expect(await page.textContent("#order")).toBe("ids rising");
		await textOf(page, "#unread", /^200\+ unread$/);
	});

	test("a gateway that does not serve the subject is quoted", async () => {
		const other = await Ringcast.serve("--subjects=events.quotes.>");
		try {
			open = await visit(browser, `${other.url}/notifications`);
			await textOf(open.page, "#refused", /events\.notify\.alice.* lies outside/);
			await textOf(open.page, "#status-text", /^Refused$/);
			await textOf(open.page, "#toggle", /^Reconnect$/);
		} finally {
			await other.stop();
		}
	});
});

describe("read and unread", () => {
	test("one by one and all at once, kept for the next visit", async () => {
		const page = await openPage("frank");
		await notify("frank", 3);
		await textOf(page, "#unread", /^3 unread$/);
		await page.click('#feed li:has-text("No. 2") button');
		await textOf(page, "#unread", /^2 unread$/);
		await page.reload();
		await textOf(page, "#unread", /^2 unread$/);
		await expectAllShown(page, "frank");
		expect(await page.getAttribute('#feed li:has-text("No. 2")', "data-read")).toBe("true");
		await page.click("#read-all");
		await textOf(page, "#unread", /^All read$/);
		await expect.poll(() => page.title()).toBe("Notifications · Ringcast");
		await page.reload();
		await textOf(page, "#unread", /^All read$/);
		await expectAllShown(page, "frank");
	});

	test("the title of a hidden tab, which draws no frames, counts all the same", async () => {
		const page = await openPage("gil");
		await page.evaluate(() => {
			window.requestAnimationFrame = () => 0;
		});
		await notify("gil", 3);
		await expect.poll(() => page.title()).toBe("(3) Notifications · Ringcast");
		expect(await page.locator("#feed li").count()).toBe(0);
	});

	test("another tab of the same user hears of it", async () => {
		const page = await openPage("grace");
		await notify("grace", 2);
		const other = await visitIn(page.context(), page.url());
		await textOf(other.page, "#unread", /^2 unread$/);
		await page.click("#read-all");
		await textOf(other.page, "#unread", /^All read$/);
		expect(other.errors).toEqual([]);
	});

	test("what came while the tab was closed is unread, the rest is not", async () => {
		const page = await openPage("heidi");
		await notify("heidi", 2);
		await textOf(page, "#unread", /^2 unread$/);
		await page.click("#read-all");
		await textOf(page, "#unread", /^All read$/);
		await page.close();
		await notify("heidi", 5);
		const again = await visitIn(page.context(), page.url());
		await textOf(again.page, "#unread", /^5 unread$/);
		await expectAllShown(again.page, "heidi");
		expect(await figure(again.page, "#received")).toBe(5);
		expect(again.errors).toEqual([]);
	});

	// A position kept with events only would be that of long ago for a quiet user.
	test("a tab that is closed keeps its position also where no event gave one", async () => {
		const page = await openPage("ivan");
		await textOf(page, "#last-id", /^\d+-/);
		await page.goto(`${ringcast.url}/v1/status`);
		const key = "ringcast:notifications:position:ivan";
		expect(await page.evaluate((key) => localStorage.getItem(key), key)).toMatch(/^\d+-\w+$/);
	});
});

describe("a cut", () => {
	test("by the user: nothing is missing", async () => {
		const page = await openPage("judy");
		await notify("judy", 3);
		await expectAllShown(page, "judy");
		await page.click("#toggle");
		await textOf(page, "#status-text", /^Dropped$/);
		await notify("judy", 30);
		expect(await page.locator("#feed li").count()).toBe(3);
		await page.click("#toggle");
		await expectNothingMissing(page, "judy", 30);
	});

	test("of five seconds ends by itself; the page notifies meanwhile", async () => {
		const page = await openPage("kim");
		await page.click("#pause");
		await textOf(page, "#status-text", /^Dropped$/);
		await page.click("#send");
		await textOf(page, "#sent", /^Stored as \d+-\w+\.$/);
		await expectNothingMissing(page, "kim", 1);
	});

	test("by the network: it comes back by itself", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const page = await openPage("leo", proxy.url);
			await notify("leo", 2);
			await expectAllShown(page, "leo");
			proxy.cut();
			await textOf(page, "#status-text", /^Reconnecting$/);
			await notify("leo", 12);
			proxy.restore();
			await expectNothingMissing(page, "leo", 12);
		} finally {
			await proxy.close();
		}
	});

	test("by going offline: it comes back online", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const page = await openPage("mia", proxy.url);
			await notify("mia", 2);
			await expectAllShown(page, "mia");
			await page.context().setOffline(true);
			proxy.cut(); // Chromium keeps connections that are open when it is told to be offline
			await textOf(page, "#status-text", /^Reconnecting$/);
			await notify("mia", 7);
			proxy.restore();
			await page.context().setOffline(false);
			await expectNothingMissing(page, "mia", 7);
		} finally {
			await proxy.close();
		}
	});

	test("while the tab is frozen: it catches up when it is back", async () => {
		const proxy = await TcpProxy.to(ringcast.url);
		try {
			const page = await openPage("nina", proxy.url);
			await notify("nina", 2);
			await expectAllShown(page, "nina");
			const thaw = await freeze(page);
			await notify("nina", 4);
			proxy.cut();
			await notify("nina", 5);
			proxy.restore();
			await thaw();
			await textOf(page, "#status-text", /^Live$/);
			await textOf(page, "#verdict", /nothing missing, nothing twice/);
			await expectAllShown(page, "nina");
			await textOf(page, "#unread", /^11 unread$/);
		} finally {
			await proxy.close();
		}
	});

	test("by a gateway killed and started again", async () => {
		const page = await openPage("olga");
		await notify("olga", 2);
		await expectAllShown(page, "olga");
		await ringcast.kill();
		await textOf(page, "#status-text", /^Reconnecting$/);
		await ringcast.start();
		await notify("olga", 3);
		await textOf(page, "#verdict", /nothing missing, nothing twice/);
		await expectAllShown(page, "olga");
	});

	test("with events gone for good is told", async () => {
		const small = await Ringcast.serve("--stream-max-events=100", "--ring-max-events=100");
		try {
			const page = await openPage("pat", small.url);
			await notify("pat", 1, small);
			await textOf(page, "#unread", /^1 unread$/);
			await page.click("#toggle");
			await notify("pat", 150, small);
			await page.click("#toggle");
			expect(await textOf(page, "#gap", /Gap/)).toContain("expired");
			await textOf(page, "#verdict", /the gateway says so/);
			expect(await figure(page, "#missing")).toBe(0);
			await textOf(page, "#feed .notification-title", /^No\. 150$/);
		} finally {
			await small.stop();
		}
	});
});

test("with the keyboard alone", async () => {
	const page = await openPage("quinn");
	await notify("quinn", 2);
	await textOf(page, "#unread", /^2 unread$/);
	await tabTo(page, "#feed li:first-child button");
	await page.keyboard.press("Enter");
	await textOf(page, "#unread", /^1 unread$/);
	await tabTo(page, "#toggle");
	await page.keyboard.press("Space");
	await textOf(page, "#status-text", /^Dropped$/);
	await page.keyboard.press("Space");
	await textOf(page, "#status-text", /^Live$/);
});

describe.each(SCREENS)("on %s", (_, options) => {
	test("nothing is blank, cut off or hard to read", async () => {
		const page = await openPage("rita", ringcast.url, options);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await notify("rita", 2);
		await page.click("#feed li:first-child button");
		expect(await isDark(page)).toBe(options.colorScheme === "dark");
		expect(await tooWide(page)).toEqual([]);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);

		await page.click("#toggle");
		await textOf(page, "#status-text", /^Dropped$/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		await page.click("#toggle");
		await textOf(page, "#verdict", /nothing missing/);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		expect(await tooWide(page)).toEqual([]);
	});
});
