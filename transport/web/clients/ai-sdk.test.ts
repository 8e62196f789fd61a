import type { Browser, Page, Response } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { ModuleServer } from "../testing/modules.ts";
import { Ringcast } from "../testing/ringcast.ts";

const PATIENT = { timeout: 30_000 };

let modules: ModuleServer;
let ringcast: Ringcast;
let browser: Browser;
let page: Page;
let asked: string[];
let errors: string[];

beforeAll(async () => {
	modules = await ModuleServer.start(["@ai-sdk/react", "ai", "react", "react-dom/client"]);
	ringcast = await Ringcast.demo(`--cors-origins=${modules.origin}`);
	browser = await launch();
});

afterAll(async () => {
	await browser?.close();
	await ringcast?.stop();
	await modules?.close();
});

beforeEach(async () => {
	page = await (await browser.newContext()).newPage();
	asked = [];
	errors = [];
	page.on("pageerror", (error) => errors.push(String(error)));
	page.on("request", (request) => {
		if (request.url().startsWith(ringcast.url) && request.method() !== "OPTIONS") {
			asked.push(request.method());
		}
	});
});

afterEach(async () => {
	await page?.context().close();
	expect(errors).toEqual([]);
});

/** Opens the page, asks, and returns the answer's id. */
async function ask(question: string, transport = ""): Promise<string> {
	const hash = new URLSearchParams({ gateway: ringcast.url, ask: question, transport });
	await page.goto(`${modules.page("clients/ai-sdk-page.ts")}#${hash}`);
	const answered = page.waitForResponse((r: Response) => r.request().method() === "POST");
	await page.click("#ask");
	return (await answered).headers()["ringcast-ask-id"] ?? "";
}

const text = async () => (await page.textContent("#text")) ?? "";

async function comes(characters: number): Promise<void> {
	await expect.poll(async () => (await text()).length, PATIENT).toBeGreaterThan(characters);
}

async function settles(status: string): Promise<void> {
	await expect.poll(() => page.textContent("#status"), PATIENT).toBe(status);
}

/** What the worker has said, by its id. */
async function said(id: string): Promise<string> {
	const answer = await fetch(`${ringcast.url}/v1/ask/${id}`, {
		headers: { Accept: "application/json" },
	});
	return ((await answer.json()) as { text: string }).text;
}

test("useChat goes on after a reload in mid-answer, and after a second one", async () => {
	const id = await ask("python");
	for (const characters of [40, 200]) {
		await comes(characters);
		await page.reload();
	}
	await comes(300);
	await settles("ready");
	expect(await text()).toBe(await said(id));
	expect(asked).toEqual(["POST", "GET", "GET"]);
	expect(await page.textContent("#error")).toBe("");
	await page.reload(); // there is nothing to resume
	await settles("ready");
	expect(asked).toEqual(["POST", "GET", "GET"]);
});

test("useChat has its sources, its error and its stop", async () => {
	await ask("table error");
	await settles("error");
	expect(await page.textContent("#error")).toMatch(/^demo_error: /);
	expect(await page.textContent("#sources")).toBe("3");

	const id = await ask("long slow");
	await comes(40);
	await page.click("#stop");
	await settles("ready");
	expect((await said(id)).length).toBeLessThan(1_000);
	expect(asked).toContain("DELETE");
});

test("DefaultChatTransport cannot read a gateway's stream: its events are no chunks of the SDK's", async () => {
	await ask("table", "default");
	await settles("error");
	expect(await page.textContent("#error")).toMatch(/Type validation failed|Invalid/i);
});
