import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Ringcast } from "../../testing/ringcast.ts";
import { stream, TestServer } from "../test/server.ts";
import { expectTold, Stage, told } from "./stage.ts";

let stage: Stage;
let strict: Ringcast;

beforeAll(async () => {
	stage = await Stage.build();
	strict = await Ringcast.serve("--cors-origins=https://elsewhere.example");
});
beforeEach(() => stage.begin());
afterAll(async () => {
	await strict?.stop();
	await stage?.tearDown();
});

/** Opens a stream of another server in a page; returns the page and its requests so far. */
async function open(url: string, headers = {}): Promise<{ page: Page; requested: string[] }> {
	const { page } = await stage.page("stream.ts");
	const requested: string[] = [];
	page.on("request", (request) => requested.push(request.method()));
	await page.evaluate(
		([url, headers]) => {
			window.openStream(url, { headers, retry: { baseMs: 10 } });
		},
		[url, headers] as const,
	);
	return { page, requested };
}

test.each(["GET", "POST"])(
	"%s from a page of another origin that the gateway allows",
	async (method) => {
		const headers = { Authorization: "Bearer x" }; // asks for a preflight
		const { page } = await stage.stream({ method, headers, from: "oldest" });
		await stage.publish(" hello\n");
		await stage.expectAll(page);
	},
);

test("an origin that the gateway does not allow: five attempts, and an end", async () => {
	const { page, requested } = await open(`${strict.url}/v1/stream?subject=events.cors`);
	await expectTold(page, { end: "network", opened: 0 });
	expect((await told(page)).errors).toEqual(Array(5).fill("network"));
	expect(requested.filter((method) => method === "GET")).toHaveLength(5);
});

test("a preflight that is refused: five attempts, and an end", async () => {
	const url = `${strict.url}/v1/stream?subject=events.cors`;
	const { page } = await open(url, { Authorization: "Bearer x" });
	await expectTold(page, { end: "network", opened: 0 });
	expect((await told(page)).retries).toHaveLength(4);
});

test.each([
	[401, { end: "unauthorized" }],
	[400, { end: "json", body: { title: "no" } }],
	[200, { end: "json", body: { title: "no" } }],
])(
	"an answer of %i with JSON from another origin ends it, and is asked for once",
	async (status, end) => {
		const server = await TestServer.start((response) => {
			response.writeHead(status, {
				"Access-Control-Allow-Origin": stage.modules.origin,
				"Content-Type": "application/problem+json",
			});
			response.end('{"title":"no"}');
		});
		const { page } = await open(server.url);
		await expectTold(page, end);
		expect(server.requests).toHaveLength(1);
	},
);

test("a stream that turns into a refusal while it reconnects ends", async () => {
	const server = await TestServer.start((response, { method }, n) => {
		response.setHeader("Access-Control-Allow-Origin", stage.modules.origin);
		response.setHeader("Access-Control-Allow-Headers", "Last-Event-ID"); // which a resume asks for
		if (method === "OPTIONS") {
			response.writeHead(204).end();
		} else if (n === 0) {
			stream(response, "data: a\nid: 1\n\n");
			response.end();
		} else {
			response.writeHead(403).end();
		}
	});
	const { page } = await open(server.url);
	await expectTold(page, { opened: 1, events: [["1", "a"]], end: "status" });
});
