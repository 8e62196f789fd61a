import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { expectTold, Stage, told } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
	stage = await Stage.build();
});
beforeEach(() => stage.begin());
afterAll(() => stage?.tearDown());

/** A delay that no test lives to see: what comes back before was woken. */
const NEVER = { delayMs: 600_000 };

/** Makes a page believe that it is hidden or seen: a headless browser has no tabs to switch. */
async function show(page: Page, hidden: boolean): Promise<void> {
	await page.evaluate((hidden) => {
		Object.defineProperties(document, {
			hidden: { value: hidden, configurable: true },
			visibilityState: { value: hidden ? "hidden" : "visible", configurable: true },
		});
		document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
	}, hidden);
}

async function hasRetries(page: Page, n: number): Promise<void> {
	await expect
		.poll(() => told(page).then(({ retries }) => retries.length))
		.toBeGreaterThanOrEqual(n);
}

test.each(["stream.ts", "worker.ts"])("%s: a gateway killed and started again", async (module) => {
	const { page } = await stage.stream({}, module);
	await stage.publish("before");
	await stage.expectAll(page);
	await stage.ringcast.kill();
	await hasRetries(page, 1);
	await stage.ringcast.start();
	await stage.publish("while it is away", "or back");
	await stage.expectAll(page);
});

test.each(["GET", "POST"])("%s: a connection cut in the middle of an event", async (method) => {
	const { page } = await stage.stream({ method });
	await stage.publish("one");
	await stage.expectAll(page);
	stage.proxy.cutAfter(/data: tw/);
	await stage.publish("two", "three");
	await stage.proxy.until(() => stage.proxy.exchanges[0]?.answer.end === "cut");
	stage.proxy.restore();
	await stage.publish("four");
	await stage.expectAll(page);
	const [one] = stage.published;
	expect(stage.proxy.exchanges.map(({ headers }) => headers["last-event-id"])).toEqual([
		undefined,
		one?.[0],
	]);
});

test("offline and online again: resumed at once, whatever the delay", async () => {
	const { page, context } = await stage.stream(NEVER);
	await stage.publish("before");
	await stage.expectAll(page);
	await context.setOffline(true);
	stage.proxy.switchTo(stage.ringcast.url); // cuts: a browser's offline spares open connections
	await expectTold(page, { errors: ["offline"] });
	await stage.publish("while offline");
	await context.setOffline(false);
	await stage.publish("online");
	await stage.expectAll(page);
});

test("a frozen tab, and the gateway restarted meanwhile", async () => {
	const { page } = await stage.stream({ idleTimeoutMs: 4_000 });
	await stage.publish("before");
	await stage.expectAll(page);
	const devtools = await page.context().newCDPSession(page);
	await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
	await stage.publish("while frozen");
	await stage.ringcast.kill();
	await stage.ringcast.start();
	await stage.publish("after the restart");
	await devtools.send("Page.setWebLifecycleState", { state: "active" });
	await stage.publish("active");
	await stage.expectAll(page);
});

test("hidden and seen again, many times: one request, one stream", async () => {
	const { page } = await stage.stream();
	for (let n = 0; n < 10; n++) {
		await show(page, true);
		await stage.publish(`hidden ${n}`);
		await show(page, false);
		await stage.publish(`seen ${n}`);
	}
	await stage.expectAll(page);
	expect(stage.proxy.exchanges).toHaveLength(1);
});

test.each(["visibilitychange", "pageshow", "online"])(
	"%s: a waiting retry is made, and made once",
	async (type) => {
		const { page } = await stage.stream(NEVER);
		await show(page, true);
		await stage.ringcast.kill();
		await hasRetries(page, 1);
		await stage.ringcast.start();
		await stage.publish("while hidden");
		expect(stage.proxy.exchanges).toHaveLength(1);
		if (type === "visibilitychange") {
			for (let n = 0; n < 5; n++) {
				await show(page, false);
			}
		} else {
			await page.evaluate((type) => {
				Object.defineProperty(document, "hidden", { value: false });
				dispatchEvent(new Event(type));
			}, type);
		}
		await stage.expectAll(page);
		expect(stage.proxy.exchanges).toHaveLength(2);
	},
);
