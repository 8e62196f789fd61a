import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { stream, TestServer } from "../test/server.ts";
import { expectTold, Stage, told } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
	stage = await Stage.build("--ticket-ttl=2s");
});
beforeEach(() => stage.begin());
afterAll(() => stage?.tearDown());

/** Opens a native EventSource of the test's subject through the proxy, and waits for it. */
async function open(from?: string): Promise<Page> {
	const { page } = await stage.page("tickets.ts");
	await page.evaluate(([endpoint, parameters]) => window.openTicketed(endpoint, parameters), [
		`${stage.proxy.url}/v1/tickets`,
		{ subject: stage.subject, ...(from && { from }) },
	] as const);
	await expectTold(page, { opened: 1 });
	return page;
}

/** The streams that were asked for, as answered. */
function streams(): { status: number; type: string | undefined }[] {
	return stage.proxy.exchanges
		.filter(({ method }) => method === "GET")
		.map(({ answer }) => ({ status: answer.status, type: answer.headers["content-type"] }));
}

/** Waits until every ticket that was given out has expired. */
async function expire(): Promise<void> {
	const given = stage.proxy.exchanges.findLast(({ url }) => url.endsWith("/v1/tickets"));
	const { expires } = JSON.parse(given?.answer.body ?? "") as { expires: string };
	await expect.poll(() => Date.now(), { timeout: 10_000 }).toBeGreaterThan(Date.parse(expires));
}

test("a native EventSource reconnects by itself while its ticket is valid", async () => {
	const page = await open();
	stage.proxy.cutAfter(/data: tw/);
	await stage.publish("one", "two", "three");
	await stage.proxy.until(() => stage.proxy.exchanges.some(({ answer }) => answer.end === "cut"));
	stage.proxy.restore();
	await stage.publish("four");
	await stage.expectAll(page);
});

test("an expired ticket is replaced: nothing lost, nothing twice", async () => {
	const page = await open();
	await stage.publish("before");
	await stage.expectAll(page);
	for (let n = 0; n < 2; n++) {
		await expire();
		await stage.publish(`open beyond its ticket ${n}`);
		await stage.expectAll(page);
		stage.proxy.switchTo(stage.ringcast.url); // cuts
		await stage.publish(`while away ${n}`);
		await stage.expectAll(page);
	}
	expect(await told(page)).toMatchObject({ opened: 3, errors: [] });
});

test("nothing is lost either where the ticket expires before the first event", async () => {
	const page = await open();
	await expire();
	await stage.ringcast.kill();
	await stage.ringcast.start();
	await stage.publish("while away");
	await stage.expectAll(page);
});

test("a gateway that has forgotten its key refuses the ticket, and another is got", async () => {
	const page = await open("oldest");
	await stage.publish("before");
	await stage.expectAll(page);
	await stage.ringcast.kill();
	await stage.ringcast.start(); // without a key file every process has its own
	await stage.publish("after");
	await stage.expectAll(page);
});

test("events by type, and an end that is told from a refusal", async () => {
	const page = await open();
	const id = await stage.ringcast.publish(stage.subject, "x", "typed");
	await expectTold(page, { events: [[id, "x"]] });
	const answer = await fetch(`${stage.ringcast.url}/v1/publish/${stage.subject}`, {
		method: "POST",
		body: "bye",
		headers: { "Ringcast-End": "true" },
	});
	expect(answer.status).toBe(200);
	await expectTold(page, { end: "finished", errors: [] });
	expect((await told(page)).events.map(([, data]) => data)).toEqual(["x", "bye"]);
	expect(streams().at(-1)).toEqual({ status: 200, type: "application/json" });
});

test("a refusal of the ticket ends it, and the token is sent for the ticket alone", async () => {
	const tokens: (string | undefined)[] = [];
	const server = await TestServer.start((response, { method, url, headers }, n) => {
		response.setHeader("Access-Control-Allow-Origin", stage.modules.origin);
		response.setHeader("Access-Control-Allow-Headers", "Authorization, Content-Type");
		if (method === "OPTIONS") {
			response.writeHead(204).end();
			return;
		}
		tokens.push(headers.authorization);
		if (url === "/stream" && n < 2) {
			const expires = new Date(Date.now() + 60_000).toISOString();
			response.setHeader("Content-Type", "application/json");
			response.end(JSON.stringify({ url: "/opened", expires }));
		} else if (url === "/opened") {
			stream(response, "data: a\nid: 1\n\n");
		} else {
			response.writeHead(401).end();
		}
	});
	const { page } = await stage.page("tickets.ts");
	await page.evaluate((endpoint) => {
		window.openTicketed(endpoint, { subject: "a", from: "oldest" }, "secret");
	}, server.url);
	await expectTold(page, { events: [["1", "a"]] });
	expect(tokens).toEqual(["Bearer secret", undefined]);

	await page.evaluate((endpoint) => {
		window.openTicketed(endpoint, { subject: "a" }, "secret");
	}, server.url);
	await expectTold(page, { end: "unauthorized", errors: ["unauthorized"] });
});
