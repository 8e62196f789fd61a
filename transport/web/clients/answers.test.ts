import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, type TestContext, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { ModuleServer } from "../testing/modules.ts";
import { ReverseProxy } from "../testing/reverse-proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";

/** The worker of the demo has a text for each of these words. */
const TABLE = "table";
const ERROR = "table error";

let dir: string;
let modules: ModuleServer;
/** One for everybody, one for those with a token. */
let ringcast: Ringcast;
let guarded: Ringcast;
let authorization: string;
let browser: Browser;
let page: Page;

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), "ringcast-answers-"));
	const secret = join(dir, "secret");
	writeFileSync(secret, token("--new-secret"), { mode: 0o600 });
	authorization = `Bearer ${token(`--secret-file=${secret}`, "--sub=ann", "--ask=chat").trim()}`;
	modules = await ModuleServer.start(["@microsoft/fetch-event-source"]);
	const cors = `--cors-origins=${modules.origin}`;
	[ringcast, guarded, browser] = await Promise.all([
		Ringcast.demo(cors),
		Ringcast.demo(cors, `--jwt-secret-file=${secret}`),
		launch(),
	]);
	page = await browser.newPage();
	await page.goto(modules.page("clients/answers-page.ts"));
	await page.waitForFunction(() => "askInTwoSteps" in window);
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
	await guarded?.stop();
	await modules?.close();
	rmSync(dir, { recursive: true, force: true });
});

function token(...flags: string[]): string {
	return execFileSync(inject("ringcast"), ["token", ...flags], { encoding: "utf8" });
}

async function proxied({ onTestFinished }: TestContext): Promise<ReverseProxy> {
	const proxy = await ReverseProxy.to(ringcast.url);
	onTestFinished(() => proxy.close());
	return proxy;
}

/** What the worker has said, by its id. */
async function said(id: string): Promise<string> {
	const answer = await fetch(`${ringcast.url}/v1/ask/${id}`, {
		headers: { Accept: "application/json" },
	});
	return ((await answer.json()) as { text: string }).text;
}

const askByPost = (
	base: string,
	question: string,
	headers: Record<string, string> = {},
	{ abortAfter, query = "" }: { abortAfter?: number; query?: string } = {},
) =>
	page.evaluate(([...all]) => window.askByPost(...all), [
		`${base}/v1/ask/chat${query}`,
		question,
		headers,
		abortAfter,
	] as const);

const askInTwoSteps = (base: string, question: string, headers: Record<string, string> = {}) =>
	page.evaluate(([...all]) => window.askInTwoSteps(...all), [
		`${base}/v1/ask/chat`,
		question,
		headers,
	] as const);

/** In the middle of an event, after some. */
const MIDDLE = /(?:event: add\n.*\nid: .*\n\n){15}event: add\nda/;

const WHOLE = {
	text: expect.stringMatching(/^This is a demonstration.*\n/),
	infos: [
		{ bytes: expect.any(Number), sha256: expect.any(String) },
		{ references: expect.any(Array) },
	],
	finish: { reason: "stop" },
};

const FAILED = {
	text: WHOLE.text,
	infos: WHOLE.infos,
	error: { reason: "demo_error", detail: expect.any(String) },
};

describe.concurrent("@microsoft/fetch-event-source, by POST", () => {
	test("cut in the middle, it comes back with its last id, and nobody is asked again", async (context) => {
		const proxy = await proxied(context);
		proxy.cutAfter(MIDDLE);
		const asked = askByPost(proxy.url, TABLE, {}, { query: "?format=json" });
		await proxy.until(() => proxy.exchanges[0]?.answer.end === "cut");
		proxy.restore();
		const outcome = await asked;
		expect(outcome).toEqual(WHOLE);
		const [first, second, ...others] = proxy.exchanges;
		expect(others).toEqual([]);
		expect([first?.method, second?.method]).toEqual(["POST", "POST"]);
		expect(second?.headers["last-event-id"]).toMatch(/^\d+-\w+$/);
		const id = String(first?.answer.headers["ringcast-ask-id"]);
		expect(second?.answer.headers["ringcast-ask-id"]).toBe(id);
		expect(outcome.text).toBe(await said(id));
	});

	test("without format=json it loses a line break that a piece begins with", async (context) => {
		const proxy = await proxied(context);
		const { text } = await askByPost(proxy.url, TABLE);
		const whole = await said(String(proxy.exchanges[0]?.answer.headers["ringcast-ask-id"]));
		expect(text).not.toBe(whole);
		expect(text.replaceAll("\n", "")).toBe(whole.replaceAll("\n", ""));
	});

	test("an error in the middle", async () => {
		expect(await askByPost(ringcast.url, ERROR)).toEqual(FAILED);
	});

	test("JSON in onopen: the whole answer, or why there is none", async () => {
		expect(await askByPost(ringcast.url, TABLE, { accept: "application/json" })).toMatchObject({
			text: WHOLE.text,
			finish: WHOLE.finish,
			error: "whole",
		});
		expect(await askByPost(ringcast.url, "")).toMatchObject({
			text: "",
			error: expect.stringMatching(/^400 invalid messages: /),
		});
	});

	test("401 in onopen, and with a token the answer", async () => {
		expect((await askByPost(guarded.url, TABLE)).error).toMatch(/^401 {2}a token is needed/);
		const headers = { Authorization: authorization };
		expect(await askByPost(guarded.url, TABLE, headers)).toEqual(WHOLE);
	});

	test("abort leaves, and the worker goes on to the end", async (context) => {
		const proxy = await proxied(context);
		const { text, finish } = await askByPost(proxy.url, TABLE, {}, { abortAfter: 3 });
		expect(finish).toBeUndefined();
		const whole = await said(String(proxy.exchanges[0]?.answer.headers["ringcast-ask-id"]));
		expect(whole.length).toBeGreaterThan(text.length);
		expect(whole.startsWith(text)).toBe(true);
	});
});

describe.concurrent("a native EventSource, in two steps", () => {
	test("cut in the middle, it comes back by itself", async (context) => {
		const proxy = await proxied(context);
		proxy.cutAfter(MIDDLE);
		const asked = askInTwoSteps(proxy.url, TABLE);
		await proxy.until(() => proxy.exchanges[1]?.answer.end === "cut");
		proxy.restore();
		const outcome = await asked;
		expect(outcome).toEqual(WHOLE);
		const [post, first, second] = proxy.exchanges;
		expect([post?.answer.status, first?.method, second?.method]).toEqual([202, "GET", "GET"]);
		expect(second?.headers["last-event-id"]).toMatch(/^\d+-\w+$/);
		expect(outcome.text).toBe(await said(String(post?.answer.headers["ringcast-ask-id"])));
	});

	test("an error in the middle, and a refusal", async () => {
		expect(await askInTwoSteps(ringcast.url, ERROR)).toEqual(FAILED);
		expect((await askInTwoSteps(ringcast.url, "")).error).toMatch(/^400 invalid messages: /);
	});

	test("the token goes with the question alone: the URL is a ticket", async () => {
		expect((await askInTwoSteps(guarded.url, TABLE)).error).toMatch(/^401 {2}a token is needed/);
		const headers = { Authorization: authorization };
		expect(await askInTwoSteps(guarded.url, TABLE, headers)).toEqual(WHOLE);
	});
});
