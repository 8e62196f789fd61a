import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";

declare global {
	interface Window {
		/** The ids that an EventSource has dispatched. */
		seen: string[];
	}
}

const SUBJECT = "events.quiet.x";

let ringcast: Ringcast;
let browser: Browser;

beforeAll(async () => {
	[ringcast, browser] = await Promise.all([Ringcast.serve(), launch()]);
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
});

// DESIGN part 4, priming: a client cut off before its first event has no id of its
// own to come back with, were it not for the block that opens the stream.
test("an EventSource that has seen no event yet misses nothing", async () => {
	const proxy = await TcpProxy.to(ringcast.url);
	try {
		const page = await browser.newPage();
		await page.goto(`${proxy.url}/v1/status`); // of the same origin, with no stream of its own
		await page.evaluate((subject) => {
			window.seen = [];
			const source = new EventSource(`/v1/stream?subject=${subject}`);
			source.onmessage = (event) => window.seen.push(event.lastEventId);
		}, SUBJECT);
		await proxy.hasSent(/\nid: \d+-\w+\n\n/);
		proxy.cut();
		const ids: string[] = [];
		for (let i = 0; i < 5; i++) {
			ids.push(await ringcast.publish(SUBJECT, `quiet ${i}`));
		}
		proxy.restore();
		await page.waitForFunction((n) => window.seen.length === n, ids.length);
		ids.push(await ringcast.publish(SUBJECT, "live again"));
		await page.waitForFunction((n) => window.seen.length === n, ids.length);
		expect(await page.evaluate(() => window.seen)).toEqual(ids);
	} finally {
		await proxy.close();
	}
});
