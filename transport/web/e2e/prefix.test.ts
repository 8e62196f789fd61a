import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { textOf, visit } from "./visit.ts";

const PREFIX = "/some/where";

let ringcast: Ringcast;
let browser: Browser;
let proxy: Server;

beforeAll(async () => {
	[ringcast, browser] = await Promise.all([Ringcast.demo(), launch()]);
	proxy = createServer((incoming, outgoing) => {
		if (!incoming.url?.startsWith(`${PREFIX}/`)) {
			outgoing.writeHead(404).end(); // anything that a page asks for beside the prefix
			return;
		}
		const { method, headers } = incoming;
		const url = ringcast.url + incoming.url.slice(PREFIX.length);
		const upstream = request(url, { method: method ?? "GET", headers }, (answer) => {
			outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
			answer.pipe(outgoing);
		});
		upstream.on("error", () => outgoing.destroy());
		outgoing.on("close", () => upstream.destroy());
		incoming.pipe(upstream);
	}).listen(0, "127.0.0.1");
	await once(proxy, "listening");
});

afterAll(async () => {
	await browser?.close();
	proxy?.closeAllConnections();
	proxy?.close();
	await ringcast?.stop();
});

test("the pages work below a path prefix, and lead to each other", async () => {
	const base = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${PREFIX}`;
	const { page, errors } = await visit(browser, `${base}/ticker`);
	await textOf(page, "#status-text", /^Live$/);
	await textOf(page, "#chart-price", /\d/);
	await page.click("nav.pages >> text=Notifications");
	await textOf(page, "#status-text", /^Live$/);
	await textOf(page, "#user", /^alice$/);
	expect(page.url()).toBe(`${base}/notifications`);
	expect(await page.textContent("nav.pages [aria-current=page]")).toBe("Notifications");
	await page.click("#send");
	await textOf(page, "#sent", /^Stored as/);
	await page.click("nav.pages >> text=Chat");
	await page.fill("#question", "Make a table");
	await page.keyboard.press("Enter");
	await textOf(page, ".markdown", /without a model/);
	await page.click("nav.pages >> text=Console");
	await textOf(page, "#status-text", /^Live$/);
	expect(new URL(page.url()).pathname).toBe(`${PREFIX}/`);
	expect(errors).toEqual([]);
});
