import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { launch } from "../../testing/browser.ts";
import { ModuleServer } from "../../testing/modules.ts";
import { Ringcast } from "../../testing/ringcast.ts";
import type { Props } from "./pages/react.tsx";

let modules: ModuleServer;
let ringcast: Ringcast;
let browser: Browser;
let page: Page;
let errors: string[];

beforeAll(async () => {
	modules = await ModuleServer.start(["react", "react-dom/client", "react/jsx-dev-runtime"]);
	ringcast = await Ringcast.serve(`--cors-origins=${modules.origin}`);
	browser = await launch();
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
	await modules?.close();
});

beforeEach(async () => {
	page = await (await browser.newContext()).newPage();
	errors = [];
	page.on("pageerror", (error) => errors.push(String(error)));
	page.on("console", (message) => {
		// What React says of a hook that breaks its rules; a lost connection is told as well.
		if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
			errors.push(message.text());
		}
	});
	await page.goto(modules.page("client/browser/pages/react.tsx"));
});

afterEach(async () => {
	await page.context().close();
	expect(errors).toEqual([]);
	await expectStreams(0);
});

async function show(props: Partial<Props> = {}): Promise<void> {
	await page.evaluate((props) => window.show(props), {
		url: `${ringcast.url}/v1/stream`,
		...props,
	});
}

async function text(id: string, value: string | RegExp): Promise<void> {
	const pattern = typeof value === "string" ? new RegExp(`^${value}$`) : value;
	await expect.poll(() => page.locator(`#${id}`).textContent(), PATIENT).toMatch(pattern);
}

const PATIENT = { timeout: 20_000 };

/** Waits until the gateway has as many streams open. */
async function expectStreams(count: number): Promise<void> {
	const streams = async () => {
		const answer = await fetch(`${ringcast.url}/v1/status`);
		return ((await answer.json()) as { streams: number }).streams;
	};
	await expect.poll(streams, PATIENT).toBe(count);
}

const called = () => page.evaluate(() => window.called);
const requests = () => page.evaluate(() => window.requests);

test("StrictMode: one stream, each event once, one request", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await expectStreams(1);
	expect(await requests()).toBe(1);
	for (const data of ["1", "2", "3"]) {
		await ringcast.publish("events.react.x", data);
	}
	await text("events", "1 2 3");
	await text("last", "3");
	await text("count", "3");
	expect(await called()).toEqual(["a 1", "a 2", "a 3"]);
});

test("a render with other objects and functions keeps the stream and calls the newest", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await ringcast.publish("events.react.x", "1");
	await text("last", "1");
	await show({ mark: "b" });
	await ringcast.publish("events.react.x", "2");
	await text("events", "1 2");
	expect(await called()).toEqual(["a 1", "b 2"]);
	expect(await requests()).toBe(1);
});

test("other subjects: another stream in place of the first, and nothing shown of it", async () => {
	await show({ subjects: "events.react.a", mark: "a" });
	await text("status", "open");
	await ringcast.publish("events.react.a", "of a");
	await text("last", "of a");
	await show({ subjects: "events.react.b", mark: "b" });
	await expect.poll(requests, PATIENT).toBe(2);
	await text("status", "open");
	await text("events", "");
	await ringcast.publish("events.react.a", "no longer asked for");
	await ringcast.publish("events.react.b", "of b");
	await text("events", "of b");
	await text("count", "1");
	await expectStreams(1);
	expect(await called()).toEqual(["a of a", "b of b"]);
});

test("paused, it has no stream; after that it goes on where it was", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await ringcast.publish("events.react.x", "1");
	await text("last", "1");
	await show({ mark: "a", enabled: false });
	await text("status", "closed");
	await expectStreams(0);
	await ringcast.publish("events.react.x", "2");
	await show({ mark: "a" });
	await text("events", "1 2");
	await show({ mark: "a", url: null });
	await text("status", "closed");
	await expectStreams(0);
});

test("unmounted, it has no stream, and nothing is called", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await page.evaluate(() => window.unmount());
	await expectStreams(0);
	await ringcast.publish("events.react.x", "1");
	const renders = await page.evaluate(() => window.renders);
	// Two frames: one would be enough for what was left over.
	await page.evaluate(
		() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
	);
	expect(await page.evaluate(() => window.renders)).toBe(renders);
	expect(await called()).toEqual([]);
});

test("close and reconnect", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await page.evaluate(() => window.closeStream());
	await text("status", "closed");
	await expectStreams(0);
	await ringcast.publish("events.react.x", "while closed");
	await page.evaluate(() => window.reconnectStream());
	await text("events", "while closed");
	await text("status", "open");
});

test("a gateway killed and started again", async () => {
	await show({ mark: "a" });
	await text("status", "open");
	await ringcast.publish("events.react.x", "1");
	await text("last", "1");
	await ringcast.kill();
	await text("status", "connecting");
	await text("error", /./);
	await ringcast.start();
	await ringcast.publish("events.react.x", "2");
	await text("events", "1 2");
	await text("status", "open");
	await text("error", "");
	expect(await called()).toEqual(["a 1", "a 2"]);
});

test("a refusal is an error that says why", async () => {
	await show({ from: "yesterday" });
	await text("status", "closed");
	await text("error", /^the server answered 400: /);
	await show({ from: "now" });
	await text("status", "open");
	await text("error", "");
});

test("a burst is rendered once a frame, and memory holds the newest", async () => {
	const burst = 5_000;
	for (let n = 0; n < burst; n += 50) {
		const part = Array.from({ length: 50 }, (_, i) => String(n + i + 1));
		await Promise.all(part.map((data) => ringcast.publish("events.burst.x", data)));
	}
	await show({ subjects: "events.burst.x", from: "oldest", limit: 20, mark: "a" });
	const frames = page.evaluate(
		(burst) =>
			new Promise<number>((done) => {
				let frames = 0;
				const count = () => {
					frames++;
					if (document.getElementById("count")?.textContent === String(burst)) {
						done(frames);
					} else {
						requestAnimationFrame(count);
					}
				};
				count();
			}),
		burst,
	);
	await text("count", String(burst));
	const held = (await ringcast.read("events.burst.x")).map(({ data }) => `a ${data}`);
	expect(await called()).toEqual(held);
	expect((await page.locator("#events").textContent())?.split(" ")).toHaveLength(20);
	// Two calls a render in StrictMode; besides frames, the first renders and the open stream's.
	expect(await page.evaluate(() => window.renders)).toBeLessThanOrEqual(2 * (await frames) + 8);
	expect(await page.evaluate(() => window.renders)).toBeLessThan(burst / 10);
});

test("where there are no frames, as in a hidden tab, it is rendered all the same", async () => {
	await page.addInitScript(() => {
		window.requestAnimationFrame = () => 0;
	});
	await page.reload();
	await show({ mark: "a" });
	await text("status", "open");
	await ringcast.publish("events.react.x", "1");
	await text("events", "1");
});

test("with createSharedEventStream two tabs have one connection", async () => {
	const first = page;
	page = await first.context().newPage();
	await page.goto(modules.page("client/browser/pages/react.tsx"));
	for (const tab of [first, page]) {
		const props = { url: `${ringcast.url}/v1/stream`, shared: true, mark: "a" };
		await tab.evaluate((props) => window.show(props), props);
	}
	await text("status", "open");
	await expect.poll(() => first.locator("#status").textContent(), PATIENT).toBe("open");
	await expectStreams(1);
	await ringcast.publish("events.react.x", "for both");
	await text("events", "for both");
	await expect.poll(() => first.locator("#events").textContent(), PATIENT).toBe("for both");
	await first.close();
	await ringcast.publish("events.react.x", "after");
	await text("events", "for both after");
	expect(await called()).toEqual(["a for both", "a after"]);
});
