import type { Browser, BrowserContextOptions, Page, Request, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { TcpProxy } from "../testing/proxy.ts";
import { Ringcast } from "../testing/ringcast.ts";
import { contrastsBelow } from "./contrast.ts";
import { isDark, SCREENS, tabTo, textOf, tooWide, type Visit, visit } from "./visit.ts";

/** Has the worker, which outlives what is killed. */
let demo: Ringcast;
/** Another gateway of the same stream. */
let gateway: Ringcast;
let browser: Browser;
let open: Visit | undefined;

beforeAll(async () => {
	[demo, browser] = await Promise.all([Ringcast.demo(), launch()]);
	gateway = await Ringcast.serve(`--nats-url=${demo.natsUrl}`);
});

afterEach(async () => {
	expect(open?.errors ?? []).toEqual([]);
	await open?.page.context().close();
	open = undefined;
});

afterAll(async () => {
	await browser?.close();
	await gateway?.stop();
	await demo?.stop();
});

async function openPage(base = gateway.url, options: BrowserContextOptions = {}): Promise<Page> {
	open = await visit(browser, `${base}/chat`, options);
	return open.page;
}

/** Asks, and returns the answer's id. */
async function ask(page: Page, question: string): Promise<string> {
	const asked = page.waitForResponse((answer) => answer.request().method() === "POST");
	await page.fill("#question", question);
	await page.keyboard.press("Enter");
	return (await asked).headers()["ringcast-ask-id"] ?? "";
}

/** Waits until the answer has so many characters, as shown. */
async function comes(page: Page, characters: number): Promise<void> {
	await page.waitForFunction(
		(n) => ([...document.querySelectorAll(".markdown")].at(-1)?.textContent?.length ?? 0) > n,
		characters,
	);
}

async function isReady(page: Page): Promise<void> {
	await textOf(page, "#status-text", /^Ready$/);
}

/** The turns as the page keeps them. */
async function turns(page: Page): Promise<{ question: string; text?: string }[]> {
	return await page.evaluate(() => JSON.parse(sessionStorage.getItem("ringcast:chat") ?? "[]"));
}

/** What the worker has said: the answer as JSON, by another way than the page has it. */
async function said(id: string): Promise<string> {
	const answer = await fetch(`${demo.url}/v1/ask/${id}`, {
		headers: { Accept: "application/json" },
	});
	return ((await answer.json()) as { text: string }).text;
}

/** Checks that the page has the worker's text, byte for byte, and returns it. */
async function expectWhole(page: Page, id: string): Promise<string> {
	await isReady(page);
	const text = await said(id);
	expect((await turns(page)).at(-1)?.text).toBe(text);
	await textOf(page, ".fact", /the worker’s text, byte for byte/);
	return text;
}

/** Checks that code is shown space for space. */
async function expectCode(page: Page, text: string): Promise<void> {
	const [, code] = /```python\n(.*?)```/s.exec(text) ?? [];
	expect(code).toContain("\n        ");
	expect(await page.locator("pre code").last().textContent()).toBe(code);
}

/** The worker has a text for each. */
const PYTHON = "Show me some Python";
const TABLE = "Make a table";

describe("an answer goes on where it was", () => {
	test("after reloads in its middle, and is asked for once", async () => {
		const page = await openPage();
		const asked: string[] = [];
		page.on("request", (request) => asked.push(request.method()));
		const id = await ask(page, PYTHON);
		for (const characters of [0, 120, 300]) {
			await comes(page, characters);
			await page.reload();
		}
		await expectCode(page, await expectWhole(page, id));
		expect(asked.filter((method) => method === "POST")).toHaveLength(1);
		expect(await page.textContent(".fact")).toMatch(/resumed (once|\d times)$/);
		expect(await page.locator(".references a").count()).toBe(3);
		await page.reload();
		expect((await turns(page)).at(-1)?.text).toBe(await said(id));
		expect(await page.locator("pre").count()).toBe(1);
		await isReady(page);
	});

	test("after a reload before the first byte of the answer", async () => {
		const page = await openPage();
		const pass = async (route: Route) => {
			const [method, body] = [route.request().method(), route.request().postData()];
			const answer = await fetch(route.request().url(), {
				method,
				body,
				headers: {
					"Content-Type": "application/json",
					"Idempotency-Key": (await route.request().headerValue("Idempotency-Key")) ?? "",
				},
			});
			await answer.body?.cancel();
			return answer.headers.get("Ringcast-Ask-Id"); // the gateway has answered, and the page nothing of it
		};
		const first = new Promise<string | null>((resolve) => {
			void page.route("**/v1/ask/chat?*", async (route) => resolve(await pass(route)), {
				times: 1,
			});
		});
		await page.fill("#question", TABLE);
		await page.keyboard.press("Enter");
		const id = await first;
		await textOf(page, "#status-text", /^Asking$/);
		const again = page.waitForResponse((answer) => answer.request().method() === "POST");
		await page.reload();
		expect((await again).headers()["ringcast-ask-id"]).toBe(id);
		await expectWhole(page, id ?? "");
	});

	test("when the gateway is killed and started again", async () => {
		const page = await openPage();
		const id = await ask(page, PYTHON);
		await comes(page, 150);
		await gateway.kill();
		await textOf(page, "#status-text", /^Reconnecting$/);
		await textOf(page, ".waits-for", /comes back by itself/);
		await gateway.start();
		await expectCode(page, await expectWhole(page, id));
	});

	test("when the network is gone and back", async () => {
		const proxy = await TcpProxy.to(gateway.url);
		try {
			const page = await openPage(proxy.url);
			const id = await ask(page, TABLE);
			await comes(page, 150);
			await page.context().setOffline(true);
			proxy.cut();
			await textOf(page, "#status-text", /^Reconnecting$/);
			proxy.restore();
			await page.context().setOffline(false);
			await expectWhole(page, id);
		} finally {
			await proxy.close();
		}
	});
});

describe("what the reader can do", () => {
	test("stop: the worker says its last word, and what came stays", async () => {
		const page = await openPage();
		const id = await ask(page, "A long answer, and slow");
		await comes(page, 100);
		await page.click("#stop");
		await isReady(page);
		expect(await page.evaluate(() => document.activeElement?.id)).toBe("question");
		const text = await said(id);
		expect((await turns(page)).at(-1)?.text).toBe(text);
		expect(text.length).toBeLessThan(1_000);
		await textOf(page, ".fact", / · stopped$/);
		expect(await page.isVisible(".failure")).toBe(false);
	});

	test("stop after a reload", async () => {
		const page = await openPage();
		const id = await ask(page, "A long answer, and slow");
		await comes(page, 100);
		await page.reload();
		await comes(page, 100);
		await page.click("#stop");
		await isReady(page);
		expect((await said(id)).length).toBeLessThan(1_000);
		await textOf(page, ".fact", / · stopped · resumed once$/);
	});

	test("regenerate, copy, and go on with the conversation", async () => {
		const page = await openPage(gateway.url, {
			permissions: ["clipboard-read", "clipboard-write"],
		});
		const bodies: unknown[] = [];
		page.on("request", (request: Request) => {
			if (request.method() === "POST") {
				bodies.push(request.postDataJSON());
			}
		});
		const first = await ask(page, TABLE);
		await comes(page, 20);
		await page.click("#stop");
		await isReady(page);
		const again = page.waitForResponse((answer) => answer.request().method() === "POST");
		await page.click("text=Regenerate");
		const second = (await again).headers()["ringcast-ask-id"] ?? "";
		expect(second).not.toBe(first);
		await isReady(page);
		await textOf(page, ".fact", /byte for byte/);
		expect(await page.locator(".turn").count()).toBe(2);
		expect(await page.locator(".markdown table th").count()).toBe(3);
		await page.click("text=Copy");
		await textOf(page, ".copy", /^Copied$/);
		const text = await said(second);
		expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(text);

		await ask(page, "And an error in a table");
		await isReady(page);
		const table = { role: "user", content: TABLE };
		expect(bodies).toEqual([
			{ messages: [table] },
			{ messages: [table] },
			{
				messages: [
					table,
					{ role: "assistant", content: text },
					{ role: "user", content: "And an error in a table" },
				],
			},
		]);
		await textOf(page, ".failure", /You asked for an error/);
		await page.click("#clear");
		expect(await page.locator(".turn").count()).toBe(0);
		expect(await turns(page)).toEqual([]);
	});

	test("everything by keyboard", async () => {
		const page = await openPage();
		await tabTo(page, "#empty button");
		await page.keyboard.press("Enter");
		await tabTo(page, "#stop");
		await page.keyboard.press("Enter");
		await isReady(page);
		await page.focus("body");
		await tabTo(page, ".again");
		await page.keyboard.press("Enter");
		await tabTo(page, "#stop");
		await page.keyboard.press("Enter");
		await isReady(page);
	});
});

describe("what goes wrong is said", () => {
	test("nobody answers: how to have somebody", async () => {
		const lonely = await Ringcast.serve();
		try {
			const page = await openPage(lonely.url);
			await page.fill("#question", "Hello?");
			await page.keyboard.press("Enter");
			await textOf(page, ".failure", /No worker listens.*ringcast demo/);
			await isReady(page);
		} finally {
			await lonely.stop();
		}
	});

	test("the worker dies", async () => {
		const mortal = await Ringcast.demo("--ask-silence-timeout=3s");
		try {
			const page = await openPage(mortal.url);
			await ask(page, "A long answer, and slow");
			await comes(page, 100);
			await mortal.kill();
			await mortal.start();
			await textOf(page, ".failure", /^The worker (is gone|has fallen silent)/);
			expect(await page.locator(".markdown p").first().textContent()).toMatch(/without a model/);
		} finally {
			await mortal.stop();
		}
	});
});

test("what came of an answer stays, where another question is asked instead of going on", async () => {
	const page = await openPage();
	await page.route("**/v1/ask/**", async (route) => {
		if (route.request().method() === "POST") {
			const body = wire([["add", "the first half"]]);
			await route.fulfill({ contentType: "text/event-stream", body });
		} else {
			await route.fulfill({ status: 401, contentType: "application/problem+json", body: "{}" });
		}
	});
	for (const question of ["one", "two"]) {
		await page.fill("#question", question);
		await page.keyboard.press("Enter");
		await textOf(page, ".answer:last-child .failure", /wants a token/);
	}
	const texts = await page.locator(".markdown").allTextContents();
	expect(texts).toEqual(["the first half", "the first half"]);
	expect((await turns(page))[0]?.text).toBe("the first half");
});

/** An answer on the wire, in format json. */
function wire(parts: readonly (readonly [type: string, data: string])[]): string {
	const asked = ["ask", '{"id":"abcdefghijklmnopqrstuvwxyz","subject":"chat"}'] as const;
	return [asked, ...parts]
		.map(
			([type, data], n) => `event: ${type}\ndata: ${JSON.stringify({ data })}\nid: ${n + 1}-x\n\n`,
		)
		.join("");
}

/** Has the gateway say these parts, and when it is asked to go on, nothing. */
async function play(
	page: Page,
	...parts: (readonly [type: string, data: string])[]
): Promise<void> {
	await page.route("**/v1/ask/**", async (route: Route) => {
		if (route.request().method() === "POST") {
			const contentType = "text/event-stream";
			await route.fulfill({ contentType, body: wire(parts) });
		}
	});
	await page.fill("#question", "?");
	await page.keyboard.press("Enter");
}

describe("what a worker says is text", () => {
	const HOSTILE = [
		"<script>window.hit = 1</script>",
		'<img src=x onerror="window.hit = 2">',
		'<svg/onload="window.hit = 3">',
		"[a](javascript:window.hit=4)",
		"[b](JaVaScRiPt&colon;window.hit=5)",
		"[c](data:text/html,<script>window.hit=6</script>)",
		"[d](/v1/status)",
		"<javascript:window.hit=7>",
		"![e](javascript:window.hit=8)",
		"![f](https://example.com/x.png)",
		"[g][g]",
		"```<img/src=x>\n</code></pre><script>window.hit = 9</script>\n```",
		'[h](https://example.com/"onclick="window.hit=10)',
		"| a |\n|---|\n| <iframe src=javascript:window.hit=11> |",
		"[g]: vbscript:window.hit=12",
	].join("\n\n");

	test("whatever it is, in an answer, a reference or an error", async () => {
		const page = await openPage();
		const references = [
			{ title: "<b>bold</b>", url: "https://example.com/?a=<script>" },
			{ title: "evil", url: "javascript:window.hit=20" },
			{ title: "evil", url: " java\nscript:window.hit=21" },
			{ title: "local", url: "/v1/status" },
			{ title: { toString: "evil" }, url: ["javascript:window.hit=22"] },
			null,
		];
		await play(
			page,
			["info", JSON.stringify({ references })],
			["add", HOSTILE],
			[
				"error",
				JSON.stringify({ reason: "<i>x</i>", detail: "<img src=x onerror=window.hit=23>" }),
			],
		);
		await textOf(page, ".failure", /<i>x<\/i>.*<img src=x/);
		const elements = await page.evaluate(() => ({
			hit: (window as { hit?: number }).hit,
			bad: document.querySelectorAll(
				".turn :is(script, img, svg, iframe, b, i:not(.dots i), style)",
			).length,
			links: [...document.querySelectorAll<HTMLAnchorElement>(".turn a")].map((a) => [
				a.getAttribute("href"),
				a.rel,
				a.onclick,
			]),
		}));
		const rel = "noopener noreferrer nofollow";
		expect(elements).toEqual({
			hit: undefined,
			bad: 0,
			links: [
				["https://example.com/x.png", rel, null],
				["https://example.com/%22onclick=%22window.hit=10", rel, null],
				["https://example.com/?a=<script>", rel, null],
			],
		});
		for (const link of await page.locator(".turn a").all()) {
			expect(await link.getAttribute("target")).toBe("_blank");
		}
		expect(await page.textContent(".markdown")).toContain("<script>window.hit = 1</script>");
	});

	test("a fence without its end is code, spaces and all, and a part of a word no markup", async () => {
		const page = await openPage();
		await play(page, ["add", "Look:\n\n```js\n  if (a) {\n\t\treturn  1;"]);
		await comes(page, 10);
		expect(await page.textContent("pre code")).toBe("  if (a) {\n\t\treturn  1;");
		expect(await page.getAttribute("pre", "data-language")).toBe("js");
		expect(await page.textContent(".markdown > p")).toBe("Look:");
	});

	test("shown piece by piece it is the same as at once", async () => {
		const page = await openPage();
		const text = [
			"# One\n\nText with **bold**, `code` and a [link](https://example.com).\n",
			"1. a\n\n2. b\n   - c\n\n     d\n\n10. e\n",
			"> quote\nlazy\n\n---\n\n    indented\n\n    more\n",
			"Title\n===\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n~~~\n```\n~~~\n\nend *of* it",
		].join("\n");
		const shown = () => page.locator(".markdown").last().innerHTML();
		await play(page, ...[...text].map((piece) => ["add", piece] as const), ["finish", ""]);
		await textOf(page, ".fact", /bytes$/); // shown as a whole
		const whole = await shown();
		expect(whole).toContain("<h3>One</h3>");
		await page.click("#clear");
		await play(page, ...[...text].map((piece) => ["add", piece] as const));
		await expect.poll(shown).toBe(whole);
	});
});

describe.each(SCREENS)("on %s", (name, options) => {
	test("nothing is cut off or hard to read, and only the whole is read out", async () => {
		const page = await openPage(gateway.url, options);
		expect(await isDark(page)).toBe(name.includes("dark"));
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		const long = "x".repeat(300);
		const references = JSON.stringify({
			references: [{ title: long, url: `https://a.b/${long}` }],
		});
		const table = `| a | b |\n|---|---|\n| ${"wide ".repeat(9)}${long} | c |`;
		await play(
			page,
			["info", references],
			[
				"add",
				`## Title\n\n${long}\n\n\`\`\`\n${long}\n\`\`\`\n\n${table}\n\n> [link](https://a.b)`,
			],
			["error", '{"reason":"worker_gone"}'],
		);
		await textOf(page, ".failure", /The worker is gone/);
		expect(await tooWide(page)).toEqual([]);
		expect(await contrastsBelow(page, 4.5)).toEqual([]);
		expect(await page.locator("#turns [aria-live], #turns [role=log]").count()).toBe(0);
		expect(await page.textContent("#said")).toBe("");
		await page.click("#clear");
		await play(page, ["add", "Short."], ["finish", ""]);
		await textOf(page, "#said", /^Answer: Short\.$/);
	});
});
