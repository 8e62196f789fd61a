import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { launch } from "../../testing/browser.ts";
import { ModuleServer } from "../../testing/modules.ts";
import { Ringcast } from "../../testing/ringcast.ts";
import { stream, TestServer } from "../test/server.ts";
import type { Plan } from "./pages/shared.ts";

const TABS = 10;
const PATIENT = { timeout: 40_000 };

let modules: ModuleServer;
let ringcast: Ringcast;
let browser: Browser;
let context: BrowserContext;

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

beforeEach(async () => {
	context = await browser.newContext();
});

afterEach(async () => {
	await context.close();
	await expectStreams(0);
});

async function openTab(plan: Plan, url = `${ringcast.url}/v1/stream`): Promise<Page> {
	const page = await context.newPage();
	await page.goto(modules.page("client/browser/pages/shared.ts"));
	await page.evaluate(([url, plan]) => window.share(url, plan), [url, plan] as const);
	return page;
}

/** Opens tabs, each once the one before it is open, so that the first leads. */
async function openTabs(count: number, plan: Plan): Promise<Page[]> {
	const pages: Page[] = [];
	for (let n = 0; n < count; n++) {
		const page = await openTab(plan);
		await expectOpen([page]);
		pages.push(page);
	}
	return pages;
}

async function expectOpen(pages: Page[]): Promise<void> {
	for (const page of pages) {
		await expect.poll(() => page.evaluate(() => window.state()), PATIENT).toBe(1);
	}
}

/** Waits until every tab has seen exactly this. */
async function expectSeen(pages: Page[], data: readonly string[]): Promise<void> {
	for (const page of pages) {
		await expect.poll(() => page.evaluate(() => window.seen), PATIENT).toEqual(data);
	}
}

async function expectStreams(count: number): Promise<void> {
	const streams = async () => {
		const answer = await fetch(`${ringcast.url}/v1/status`);
		return ((await answer.json()) as { streams: number }).streams;
	};
	await expect.poll(streams, PATIENT).toBe(count);
}

let published = 0;

async function publish(subject: string, count: number): Promise<string[]> {
	const data = Array.from({ length: count }, () => String(++published));
	for (const value of data) {
		await ringcast.publish(subject, value);
	}
	return data;
}

describe.each(["worker", "locks"] as const)("%s", (way) => {
	let subject: string;
	let plan: Plan;

	beforeEach(() => {
		subject = `events.${way}.t${++published}`;
		plan = { way, subjects: subject };
	});

	test("ten tabs, one connection, every event once and in order in each", async () => {
		const pages = await openTabs(TABS, plan);
		await expectStreams(1);
		const data = await publish(subject, 100);
		await expectSeen(pages, data);
		await expectStreams(1);
		for (const page of pages) {
			expect(await page.evaluate(() => window.ids)).toEqual(
				(await ringcast.read(subject)).map(({ id }) => id),
			);
		}
	});

	test("a tab that comes later: now, from the oldest, and from an id of its own", async () => {
		const [first] = (await openTabs(1, plan)) as [Page];
		const before = await publish(subject, 5);
		await expectSeen([first], before);
		const now = await openTab(plan);
		await expectOpen([now]);
		const third = (await first.evaluate(() => window.ids[2])) as string;
		const since = await openTab({ ...plan, lastEventId: third });
		const after = await publish(subject, 5);
		await expectSeen([first], [...before, ...after]);
		await expectSeen([now], after);
		await expectSeen([since], [...before.slice(3), ...after]);
		await expectStreams(1);
	});

	test("a tab that begins with what is held catches up, and then shares", async () => {
		const held = await publish(subject, 1_500); // more than a tab keeps of the shared stream
		const [first] = (await openTabs(1, { ...plan, from: "oldest" })) as [Page];
		await expectSeen([first], held);
		const later = await openTab({ ...plan, from: "oldest" });
		const live = await publish(subject, 20);
		await expectSeen([first, later], [...held, ...live]);
		await expectStreams(1);
	});

	test("the leader closes its stream: another leads, the rest have missed nothing", async () => {
		const pages = await openTabs(4, plan);
		const [leader, ...others] = pages as [Page, ...Page[]];
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		await leader.evaluate(() => window.closeStream());
		const after = await publish(subject, 3);
		await expectSeen(others, [...before, ...after]);
		await expectSeen([leader], before);
		await expectStreams(1);
		for (const page of others) {
			expect(await page.evaluate(() => window.errors)).toEqual([]);
		}
	});

	test("the leader goes to another page", async () => {
		const pages = await openTabs(3, plan);
		const [leader, ...others] = pages as [Page, ...Page[]];
		await leader.goto("about:blank");
		const data = await publish(subject, 3);
		await expectSeen(others, data);
		await expectStreams(1);
	});

	test("the leader crashes", async () => {
		const pages = await openTabs(3, plan);
		const [leader, ...others] = pages as [Page, ...Page[]];
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		const crashed = leader.waitForEvent("crash");
		const session = await context.newCDPSession(leader);
		void session.send("Page.crash").catch(() => {}); // the answer never comes
		await crashed;
		const after = await publish(subject, 3);
		await expectSeen(others, [...before, ...after]);
		const late = await openTab(plan); // finds the others where they are now
		await expectOpen([late]);
		await expectStreams(1);
		const last = await publish(subject, 3);
		await expectSeen(others, [...before, ...after, ...last]);
		await expectSeen([late], last);
	});

	test("the leader is frozen, and wakes up", async () => {
		const pages = await openTabs(3, plan);
		const [leader, ...others] = pages as [Page, ...Page[]];
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		const session = await context.newCDPSession(leader);
		await session.send("Page.setWebLifecycleState", { state: "frozen" });
		const meanwhile = await publish(subject, 3);
		await expectSeen(others, [...before, ...meanwhile]);
		await session.send("Page.setWebLifecycleState", { state: "active" });
		const after = await publish(subject, 3);
		await expectSeen(pages, [...before, ...meanwhile, ...after]);
		await expectStreams(1);
	});

	test("the leader hangs, with all that it holds, and goes on", async () => {
		const pages = await openTabs(3, plan);
		const [leader, ...others] = pages as [Page, ...Page[]];
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		const session = await context.newCDPSession(leader);
		await session.send("Debugger.enable");
		const paused = new Promise((resolve) => session.once("Debugger.paused", resolve));
		await session.send("Debugger.pause");
		void leader.evaluate(() => 0).catch(() => {}); // runs into the pause
		await paused;
		const meanwhile = await publish(subject, 3);
		await expectSeen(others, [...before, ...meanwhile]);
		await session.send("Debugger.resume");
		const after = await publish(subject, 3);
		await expectSeen(pages, [...before, ...meanwhile, ...after]);
		await expectStreams(1);
	});

	test("the gateway is killed and started again", async () => {
		const pages = await openTabs(4, plan);
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		await ringcast.kill();
		for (const page of pages) {
			await expect.poll(() => page.evaluate(() => window.errors.length), PATIENT).not.toBe(0);
		}
		await ringcast.start();
		const after = await publish(subject, 3);
		await expectSeen(pages, [...before, ...after]);
		await expectStreams(1);
	});

	test("a token is renewed by one tab", async () => {
		const server = await TestServer.start((response, request) => {
			response.setHeader("Access-Control-Allow-Origin", "*");
			response.setHeader("Access-Control-Allow-Headers", "authorization");
			if (request.method === "OPTIONS") {
				response.end();
			} else if (request.headers.authorization !== "Bearer good") {
				response.writeHead(401).end();
			} else {
				stream(response, "data: for all\nid: 1\n\n");
			}
		});
		const tab = () => openTab({ ...plan, token: "old" }, server.url);
		const pages = await Promise.all([tab(), tab(), tab()]);
		await expectOpen(pages);
		const refreshed = await Promise.all(pages.map((p) => p.evaluate(() => window.refreshed)));
		expect(refreshed.sort()).toEqual([0, 0, 1]);
		const opened = server.requests.filter((r) => r.headers.authorization === "Bearer good");
		expect(opened).toHaveLength(1);
	});

	test("a refusal ends every tab's stream", async () => {
		const tab = () => openTab({ ...plan, subjects: "not.served" });
		for (const page of await Promise.all([tab(), tab(), tab()])) {
			await expect
				.poll(() => page.evaluate(() => window.end), PATIENT)
				.toMatchObject({ reason: "json", status: 400 });
		}
	});

	test("a subject that ends finishes every tab's stream", async () => {
		const pages = await openTabs(3, plan);
		await fetch(`${ringcast.url}/v1/publish/${subject}`, {
			method: "POST",
			body: "last",
			headers: { "Ringcast-End": "true" },
		});
		await expectSeen(pages, ["last"]);
		for (const page of pages) {
			await expect
				.poll(() => page.evaluate(() => window.end), PATIENT)
				.toEqual({ reason: "finished" });
		}
	});

	test("an id that is none: the tab that has it is told, and then shares", async () => {
		const [first] = (await openTabs(1, plan)) as [Page];
		const [lost] = (await openTabs(1, { ...plan, lastEventId: "none" })) as [Page];
		await expect
			.poll(() => lost.evaluate(() => window.gaps), PATIENT)
			.toMatchObject([{ reason: "unknown", requested: "none" }]);
		await expectSeen([first, lost], await publish(subject, 3));
		await expectStreams(1);
		expect(await first.evaluate(() => window.gaps)).toEqual([]);
	});

	test("reconnect() in one tab makes the connection anew for all", async () => {
		const pages = await openTabs(3, plan);
		const before = await publish(subject, 3);
		await expectSeen(pages, before);
		await pages[1]?.evaluate(() => window.reconnectStream());
		const after = await publish(subject, 3);
		await expectSeen(pages, [...before, ...after]);
		await expectStreams(1);
	});

	test("a tab that reads slowly holds nobody back, and has everything in the end", async () => {
		const [quick] = (await openTabs(1, plan)) as [Page];
		const [slow] = (await openTabs(1, { ...plan, slow: true })) as [Page];
		// More than may wait for a tab, and then more than it finds in its log.
		const data = Array.from({ length: 60 }, (_, n) => `${n} `.padEnd(100_000, "x"));
		for (const [n, value] of data.entries()) {
			await ringcast.publish(subject, value);
			if (n === 39) {
				await expect.poll(() => quick.evaluate(() => window.seen.length), PATIENT).toBe(40);
			}
		}
		await expect.poll(() => quick.evaluate(() => window.seen.length), PATIENT).toBe(60);
		expect(await slow.evaluate(() => window.seen)).toEqual([]);
		await slow.evaluate(() => window.go());
		await expectSeen([slow, quick], data);
		// It had let go, and asked for the rest itself.
		expect(await slow.evaluate(() => window.requests)).toBeGreaterThan(0);
		await expectStreams(1);
	});

	test("a tab with an id of its own does not join in the middle of a snapshot", async () => {
		const block = (n: number) => `data: ${n}\nid: ${n}-${n}\n\n`;
		const rest = new EventEmitter();
		const server = await TestServer.start((response, { method, headers }) => {
			response.setHeader("Access-Control-Allow-Origin", "*");
			response.setHeader("Access-Control-Allow-Headers", "last-event-id");
			if (method === "OPTIONS") {
				response.end();
			} else if (headers["last-event-id"] === "1-1") {
				stream(response, [2, 3, 4].map(block).join(""));
			} else {
				stream(response, block(1)); // 4 is the last of a subject that had 2 and 3 too
				rest.once("now", () => response.write(block(4)));
			}
		});
		const last = { ...plan, from: "last" };
		const leader = await openTab(last, server.url);
		await expectSeen([leader], ["1"]);
		const since = await openTab({ ...last, lastEventId: "1-1" }, server.url);
		await expectOpen([since]);
		rest.emit("now");
		await expectSeen([leader], ["1", "4"]);
		await expectSeen([since], ["2", "3", "4"]);
	});

	test("reconnect() of a stream that is closed does nothing to the others", async () => {
		const server = await TestServer.start((response) => {
			response.setHeader("Access-Control-Allow-Origin", "*");
			stream(response);
		});
		const leader = await openTab(plan, server.url);
		const other = await openTab(plan, server.url);
		await expectOpen([leader, other]);
		await other.evaluate(() => window.closeStream());
		await other.evaluate(() => window.reconnectStream());
		const late = await openTab(plan, server.url);
		await expectOpen([leader, late]);
		expect(server.requests).toHaveLength(1);
	});

	test("a sandboxed page, which may not share, has a stream of its own", async () => {
		await context.route(`${modules.origin}/**`, async (route) => {
			const response = await route.fetch();
			const headers = {
				...response.headers(),
				"access-control-allow-origin": "*",
				"content-security-policy": "sandbox allow-scripts",
			};
			await route.fulfill({ response, headers });
		});
		// Answered here: Chromium keeps such a page from servers of this machine.
		await context.route("http://server/**", (route) =>
			route.fulfill({ json: "its own", headers: { "Access-Control-Allow-Origin": "*" } }),
		);
		for (const page of [
			await openTab(plan, "http://server/"),
			await openTab(plan, "http://server/"),
		]) {
			await expect
				.poll(() => page.evaluate(() => window.end), PATIENT)
				.toMatchObject({ reason: "json", body: "its own" });
		}
	});

	test("ids that are not a gateway's", async () => {
		const said: string[] = [];
		const open = new Set<ServerResponse>();
		const block = (id: string) => `data: ${id}\nid: ${id}\n\n`;
		const say = (id: string) => {
			said.push(id);
			for (const response of open) {
				response.write(block(id));
			}
		};
		const server = await TestServer.start((response, { method, headers }) => {
			response.setHeader("Access-Control-Allow-Origin", "*");
			response.setHeader("Access-Control-Allow-Headers", "last-event-id");
			if (method === "OPTIONS") {
				response.end();
				return;
			}
			const last = headers["last-event-id"] as string | undefined;
			stream(
				response,
				said
					.slice(last ? said.indexOf(last) + 1 : said.length)
					.map(block)
					.join(""),
			);
			open.add(response);
			response.on("close", () => open.delete(response));
		});
		const pages = await Promise.all([1, 2, 3].map(() => openTab(plan, server.url)));
		await expectOpen(pages);
		expect(open.size).toBe(1);
		say("pear");
		say("apple");
		await expectSeen(pages, ["pear", "apple"]);
		const [leader] = pages as [Page];
		await leader.evaluate(() => window.closeStream());
		say("zebra");
		say("fig");
		await expectSeen(pages.slice(1), ["pear", "apple", "zebra", "fig"]);
		await expect.poll(() => open.size, PATIENT).toBe(1);
	});

	test("tabs that come and go while events flow: to each its part of the log, whole", async () => {
		let flowing = true;
		const flow = (async () => {
			while (flowing) {
				await publish(subject, 10).catch(() => {}); // while there is no gateway
			}
		})();
		const pages = await openTabs(4, plan);
		const left: Page[] = [];
		for (let round = 0; round < 6; round++) {
			const [leader] = pages as [Page];
			await leader.evaluate(() => window.closeStream());
			left.push(...pages.splice(0, 1));
			const behind = await pages[0]?.evaluate(() => window.ids[window.ids.length >> 1]);
			const next = openTab(round % 2 ? plan : { ...plan, lastEventId: behind as string });
			if (round % 3 === 2) {
				await ringcast.kill();
				await ringcast.start();
			}
			pages.push(await next);
			await expectOpen(pages);
		}
		flowing = false;
		await flow;
		const held = (await ringcast.read(subject)).map(({ id }) => id);
		for (const page of pages) {
			await expect
				.poll(() => page.evaluate(() => window.ids.at(-1)), PATIENT)
				.toBe(held.at(-1) as string);
		}
		for (const page of [...pages, ...left]) {
			const ids = await page.evaluate(() => window.ids);
			const first = held.indexOf(ids[0] as string);
			expect(first).toBeGreaterThanOrEqual(0);
			expect(ids).toEqual(held.slice(first, first + ids.length));
		}
		await expectStreams(1);
	});

	test("another shareKey, another connection", async () => {
		const [a] = (await openTabs(1, { ...plan, shareKey: "a" })) as [Page];
		const [b] = (await openTabs(1, { ...plan, shareKey: "b" })) as [Page];
		await expectStreams(2);
		const data = await publish(subject, 2);
		await expectSeen([a, b], data);
	});
});

test("a worker that cannot be loaded: the tabs share by locks", async () => {
	const plan: Plan = { way: "broken-worker", subjects: "events.broken" };
	const pages = await openTabs(3, plan);
	await expectStreams(1);
	await expectSeen(pages, await publish("events.broken", 3));
});

test("without locks and without a worker each tab has its own connection", async () => {
	const plan: Plan = { way: "none", subjects: "events.none" };
	const pages = await openTabs(2, plan);
	await expectStreams(2);
	await expectSeen(pages, await publish("events.none", 3));
});
