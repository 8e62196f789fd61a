import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import type { Ringcast } from "../testing/ringcast.ts";

/** An open page, and everything that went wrong on it. */
export interface Visit {
	readonly page: Page;
	/** Exceptions, and the console's errors: violations of the policy among them. */
	readonly errors: string[];
}

/** Opens a page in a context of its own. */
export async function visit(
	browser: Browser,
	url: string,
	options: BrowserContextOptions = {},
): Promise<Visit> {
	const context = await browser.newContext({ reducedMotion: "reduce", ...options });
	return await visitIn(context, url);
}

/** Opens a page that shares the storage of others in its context. */
export async function visitIn(context: BrowserContext, url: string): Promise<Visit> {
	const page = await context.newPage();
	const errors: string[] = [];
	page.on("pageerror", (error) => errors.push(String(error)));
	page.on("console", (message) => {
		// A connection that the test cuts is an error to the console.
		if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
			errors.push(message.text());
		}
	});
	await page.goto(url);
	return { page, errors };
}

/** Waits until an element's text satisfies a pattern, and returns it. */
export async function textOf(page: Page, selector: string, pattern: RegExp): Promise<string> {
	const element = page.locator(selector).filter({ hasText: pattern }).first();
	await element.waitFor();
	return (await element.textContent()) ?? "";
}

/** Reads a figure of the page's. */
export async function figure(page: Page, selector: string): Promise<number> {
	return Number.parseInt((await textOf(page, selector, /\d/)).replaceAll(",", ""), 10);
}

/** Waits until an element's text is another one than it was. */
export async function changes(page: Page, selector: string): Promise<void> {
	const before = await textOf(page, selector, /\S/);
	await page.waitForFunction(([s, before]) => document.querySelector(s)?.textContent !== before, [
		selector,
		before,
	] as const);
}

/** Waits until the log holds more of a subject than this. */
export async function publishedMoreThan(
	ringcast: Ringcast,
	subject: string,
	n: number,
): Promise<void> {
	await expect
		.poll(async () => (await ringcast.read(subject)).length, { timeout: 30_000 })
		.toBeGreaterThan(n);
}

/** Freezes a tab, as a browser does to one that was hidden for long, and as sleep does to all. */
export async function freeze(page: Page): Promise<() => Promise<void>> {
	const session = await page.context().newCDPSession(page);
	await session.send("Page.setWebLifecycleState", { state: "frozen" });
	return async () => {
		await session.send("Page.setWebLifecycleState", { state: "active" });
		await session.detach();
	};
}

/** Returns the parts of the page whose content is wider than they are. */
export async function tooWide(page: Page): Promise<string[]> {
	return await page.evaluate(() => {
		const parts = [document.documentElement, ...document.querySelectorAll(".card, main, header")];
		return parts.filter((p) => p.scrollWidth > p.clientWidth).map((p) => p.className || p.tagName);
	});
}

/** Whether the page's ground is dark. */
export async function isDark(page: Page): Promise<boolean> {
	const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	return Math.max(...(ground.match(/\d+/g) ?? []).slice(0, 3).map(Number)) < 128;
}

/**
 * Presses Tab until an element has the focus; fails where one on the way has it and does
 * not show it.
 */
export async function tabTo(page: Page, selector: string): Promise<void> {
	for (let presses = 0; presses < 40; presses++) {
		await page.keyboard.press("Tab");
		const at = await page.evaluate((selector) => {
			const { activeElement: element } = document;
			if (element === null || element === document.body) {
				return { found: false, shown: true, what: "nothing" };
			}
			const shown = getComputedStyle(element).outlineStyle !== "none";
			return { found: element.matches(selector), shown, what: element.outerHTML };
		}, selector);
		expect(at.shown, `the focus shows on ${at.what}`).toBe(true);
		if (at.found) {
			return;
		}
	}
	throw new Error(`Tab does not come to ${selector}`);
}

/** The screens that the pages are looked at on. */
export const SCREENS = [
	["a small laptop, light", { viewport: { width: 1280, height: 720 }, colorScheme: "light" }],
	["a tablet, light", { viewport: { width: 820, height: 1180 }, colorScheme: "light" }],
	["a laptop, light", { viewport: { width: 1440, height: 900 }, colorScheme: "light" }],
	["a laptop, dark", { viewport: { width: 1440, height: 900 }, colorScheme: "dark" }],
	[
		"a phone, light",
		{ viewport: { width: 390, height: 844 }, isMobile: true, colorScheme: "light" },
	],
	["a phone, dark", { viewport: { width: 390, height: 844 }, isMobile: true, colorScheme: "dark" }],
] as const;
