import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import { SCREENS, tabTo, textOf, tooWide, type Visit, visit } from "./visit.ts";

/** The pages, by the link to each. */
const PAGES = {
	Console: "/?subject=events.notify.nobody",
	Ticker: "/ticker",
	Notifications: "/notifications?user=nobody",
};

let dir: string;
let secret: string;
let ringcast: Ringcast;
let browser: Browser;
let open: Visit | undefined;
/** All that could show a token: what the page asked for, and what it wrote to the console. */
let told: string[];

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), "ringcast-secret-"));
	secret = newSecret("secret");
	[ringcast, browser] = await Promise.all([Ringcast.demo(...access()), launch()]);
});

afterEach(async () => {
	expect(open?.errors ?? []).toEqual([]);
	await open?.page.context().close();
	open = undefined;
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
	rmSync(dir, { recursive: true, force: true });
});

function access(): string[] {
	return [`--jwt-secret-file=${secret}`, "--jwt-leeway=0s"];
}

/** Returns the file of a new secret. */
function newSecret(name: string): string {
	const file = join(dir, name);
	writeFileSync(file, tokenCommand("--new-secret"), { mode: 0o600 });
	return file;
}

/** A token for everything that the pages do. */
function newToken(ttl = "1h", file = secret): string {
	const all = ["--subscribe=events.>", "--publish=events.>", "--ask=chat", "--admin=status"];
	return tokenCommand(`--secret-file=${file}`, `--ttl=${ttl}`, ...all);
}

function tokenCommand(...flags: string[]): string {
	return execFileSync(inject("ringcast"), ["token", ...flags], { encoding: "utf8" }).trim();
}

async function openPage(
	path: string,
	options: BrowserContextOptions = {},
	base = ringcast.url,
): Promise<Page> {
	open = await visit(browser, "about:blank", options);
	const { page } = open;
	told = [];
	page.on("request", (request) => told.push(request.url()));
	page.on("framenavigated", (frame) => told.push(frame.url()));
	page.on("console", (message) => told.push(message.text()));
	await page.goto(base + path);
	return page;
}

async function give(page: Page, token: string): Promise<void> {
	await page.fill("#token", token);
	await page.press("#token", "Enter");
}

/** Publishes what the log then holds, and returns the ids. */
async function notify(user: string, n: number): Promise<string[]> {
	const headers = { Authorization: `Bearer ${newToken()}` };
	const ids: string[] = [];
	for (let i = 0; i < n; i++) {
		const url = `${ringcast.url}/v1/publish/events.notify.${user}`;
		const answer = await fetch(url, { method: "POST", body: `No. ${i}`, headers });
		ids.push(((await answer.json()) as { id: string }).id);
	}
	return ids;
}

async function isLive(page: Page): Promise<void> {
	await textOf(page, "#status-text", /^Live$/);
	await page.locator("#token-form").waitFor({ state: "hidden" });
	expect(await page.isVisible("#refused")).toBe(false);
}

describe.each(Object.entries(PAGES))("%s", (name, path) => {
	test("asks, says what is wrong with a token, and takes one for all pages", async () => {
		const page = await openPage(path);
		await textOf(page, "#token-why", /^The gateway refuses: a token is needed for /);
		await textOf(page, "#status-text", /^Refused$/);
		expect(await page.isVisible("#refused")).toBe(false);
		await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("token");

		await give(page, "rubbish");
		await textOf(page, "#token-why", /it is no JSON Web Token/);
		await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("token");
		await give(page, newToken("1h", newSecret(`not of ${name}`)));
		await textOf(page, "#token-why", /its signature cannot be verified/);

		const token = newToken();
		await give(page, token);
		await isLive(page);
		for (const other of Object.keys(PAGES)) {
			await page.click(`nav.pages >> text=${other}`);
			await page.waitForURL(other === "Console" ? /\/(\?.*)?$/ : new RegExp(other, "i"));
			await isLive(page);
		}
		await page.reload();
		await isLive(page);
		expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(token);
		expect(told.filter((text) => text.includes(token))).toEqual([]);
		expect(told).toContain(`${ringcast.url}/v1/status`);
	});
});

describe("a token that expires on an open stream", () => {
	const SHORT = "8s";

	test("Console: another one goes on with nothing missing, and nobody's typing is disturbed", async () => {
		const page = await openPage("/?subject=events.notify.ada");
		await textOf(page, "#token-why", /is needed/);
		await give(page, newToken(SHORT));
		await isLive(page);
		const ids = await notify("ada", 3);
		await textOf(page, "#tape-state", / of 3 events received/);
		await page.fill("#publish-data", "so far");
		await textOf(page, "#token-why", /expired/);
		await textOf(page, "#status-text", /^Refused$/);
		await page.keyboard.type(", so good");
		expect(await page.inputValue("#publish-data")).toBe("so far, so good");

		ids.push(...(await notify("ada", 20)));
		await give(page, newToken());
		await isLive(page);
		await textOf(page, "#tape-state", /^Showing 23 of 23 events received/);
		const shown = await page.locator('#rows [data-kind="event"] .cell-id').allTextContents();
		const newest = ids.slice(-shown.length).reverse();
		expect(shown.length).toBeGreaterThan(3);
		expect(shown).toEqual(newest);
	});

	test("Ticker: another one goes on after the last id", async () => {
		const page = await openPage("/ticker");
		await textOf(page, "#token-why", /is needed/);
		await give(page, newToken(SHORT));
		await isLive(page);
		await textOf(page, "#found", /^200 symbols$/);
		await textOf(page, "#token-why", /expired/);
		await textOf(page, "#resumed", /^Cut off by the gateway\./);
		await give(page, newToken());
		await isLive(page);
		await textOf(page, "#resumed", /Published meanwhile.*newest came at once/);
		expect(await page.isVisible("#gap")).toBe(false);
	});

	test("Notifications: another one goes on with nothing missing", async () => {
		const page = await openPage("/notifications?user=ben");
		await textOf(page, "#token-why", /is needed/);
		await give(page, newToken(SHORT));
		await isLive(page);
		await notify("ben", 2);
		await textOf(page, "#unread", /^2 unread$/);
		await textOf(page, "#token-why", /expired/);
		await textOf(page, "#verdict", /^Cut off by the gateway\./);
		await notify("ben", 30);
		await give(page, newToken());
		await isLive(page);
		await textOf(page, "#verdict", /nothing missing, nothing twice/);
		expect(await page.textContent("#arrived")).toBe("30");
		await textOf(page, "#unread", /^32 unread$/);
	});
});

test("a token that grants too little is said, and can be replaced", async () => {
	const page = await openPage("/");
	await textOf(page, "#token-why", /is needed/);
	await give(page, tokenCommand(`--secret-file=${secret}`, "--subscribe=events.notify.>"));
	await textOf(page, "#silence", /does not show its state: the token does not grant admin/);
	await textOf(page, "#tape-state", /^Not following anything yet$/);
	await textOf(page, "#status-text", /^Idle$/);
	expect(await page.isVisible("#token-form")).toBe(false);
	await page.goto(`${ringcast.url}/ticker`);
	await textOf(page, "#refused", /the token does not grant subscribe "events\.quotes\.>"/);
	expect(await page.isVisible("#token-form")).toBe(false);

	await tabTo(page, "#token-replace");
	await page.keyboard.press("Enter");
	expect(await page.evaluate(() => document.activeElement?.id)).toBe("token");
	await page.click("#token-replace");
	expect(await page.isVisible("#token-form")).toBe(false);
	await page.click("#token-replace");
	await give(page, newToken());
	await isLive(page);
	await page.click("nav.pages >> text=Console");
	await textOf(page, "#intake-value", / \/s$/);
	expect(await page.isVisible("#silence")).toBe(false);
});

test("where everybody may subscribe, a token is asked for with the first event to publish", async () => {
	const half = await Ringcast.demo(...access(), "--anonymous=subscribe events.>");
	try {
		const page = await openPage("/notifications?user=eve", {}, half.url);
		await isLive(page);
		await page.click("#send");
		await textOf(page, "#token-why", /a token is needed for publish/);
		await textOf(page, "#sent", /^The gateway refuses: a token is needed/);
		await give(page, newToken());
		await page.click("#send");
		await textOf(page, "#sent", /^Stored as/);
		await isLive(page);
	} finally {
		await half.stop();
	}
});

test("Chat: one is asked for with the first question, and again in mid-answer", async () => {
	const page = await openPage("/chat");
	await page.fill("#question", "Show me some Python");
	await page.keyboard.press("Enter");
	await textOf(page, "#token-why", /a token is needed for ask/);
	await textOf(page, ".failure", /wants a token/);
	await give(page, newToken("3s"));
	await page.locator(".failure").waitFor({ state: "hidden" });
	await textOf(page, ".markdown", /without a model/);
	await textOf(page, "#token-why", /expired/);
	await give(page, newToken());
	await textOf(page, ".fact", /byte for byte/);
	expect(await page.locator(".turn").count()).toBe(2);
	const asked = told.filter((url) => url === `${ringcast.url}/v1/ask/chat?format=json`);
	expect(asked).toHaveLength(2);
});

describe.each(SCREENS)("on %s", (_, options) => {
	test.each(Object.entries(PAGES))(
		"%s: the form is not cut off or hard to read",
		async (_, path) => {
			const page = await openPage(path, options);
			await textOf(page, "#token-why", /is needed/);
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);
			await give(page, newToken());
			await isLive(page);
			expect(await page.isVisible("#token-replace")).toBe(true);
			expect(await tooWide(page)).toEqual([]);
			expect(await contrastsBelow(page, 4.5)).toEqual([]);
		},
	);
});
