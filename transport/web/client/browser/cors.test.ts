import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch } from "../../testing/browser.ts";
import { ModuleServer } from "../../testing/modules.ts";
import { Ringcast } from "../../testing/ringcast.ts";
import type {} from "./pages/stream.ts";

let modules: ModuleServer;
let ringcast: Ringcast;
let browser: Browser;

beforeAll(async () => {
	modules = await ModuleServer.start();
	ringcast = await Ringcast.serve(`--cors-origins=${modules.origin}`);
	browser = await launch();
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
	await modules?.close();
});

test("a page of another origin that the gateway allows", async () => {
	const page = await browser.newPage();
	await page.goto(modules.page("client/browser/pages/stream.ts"));
	await ringcast.publish("events.cors", "hello");
	const options = { subjects: "events.cors", from: "oldest" };
	const data = await page.evaluate(([url, options]) => window.first(url, options), [
		`${ringcast.url}/v1/stream`,
		options,
	] as const);
	expect(data).toBe("hello");
});
