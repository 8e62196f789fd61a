import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { launch } from "../../testing/browser.ts";
import { ModuleServer } from "../../testing/modules.ts";
import { Ringcast } from "../../testing/ringcast.ts";

const PATIENT = { timeout: 30_000 };

let modules: ModuleServer;
let ringcast: Ringcast;
let browser: Browser;
let page: Page;
let errors: string[];
let asked: string[];

beforeAll(async () => {
	modules = await ModuleServer.start(["react", "react-dom/client", "react/jsx-dev-runtime"]);
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
	errors = [];
	asked = [];
	page.on("pageerror", (error) => errors.push(String(error)));
	page.on("console", (message) => {
		if (message.type() === "error") {
			errors.push(message.text());
		}
	});
	page.on("response", (answer) => {
		const method = answer.request().method();
		if (answer.url().startsWith(ringcast.url) && method !== "OPTIONS") {
			asked.push(method);
		}
	});
	await page.goto(`${modules.page("client/browser/pages/answer.tsx")}#${ringcast.url}/v1/ask/chat`);
	await is("status", "idle");
});

afterEach(async () => {
	await page.context().close();
	expect(errors).toEqual([]);
});

async function is(id: string, text: string): Promise<void> {
	await expect.poll(() => page.textContent(`#${id}`), PATIENT).toBe(text);
}

async function comes(characters: number): Promise<void> {
	await expect
		.poll(async () => (await page.textContent("#text"))?.length, PATIENT)
		.toBeGreaterThan(characters);
}

/** What the worker said to the one question of the test, byte for byte. */
async function said(): Promise<string> {
	const events = await ringcast.read("events.answers.*");
	const { subject } = events.filter(({ type }) => type === "ask").at(-1) ?? {};
	const pieces = events.filter((event) => event.subject === subject && event.type === "add");
	return pieces.map(({ data }) => data).join("");
}

test("an answer, over a reload in its middle, in StrictMode: asked once", async () => {
	await page.evaluate(() => window.ask("table"));
	await comes(60);
	expect(await page.textContent("#infos")).toBe("2");
	await page.reload();
	await is("status", "finished");
	expect(await page.textContent("#text")).toBe(await said());
	expect(await page.textContent("#finish")).toBe('{"reason":"stop"}');
	expect(asked.filter((method) => method === "POST")).toHaveLength(1);
	await page.reload();
	await is("status", "idle");
});

test("stop, and ask again", async () => {
	await page.evaluate(() => window.ask("long slow"));
	await comes(30);
	await page.evaluate(() => window.stop());
	await is("status", "failed");
	await is("error", "stopped");
	await page.evaluate(() => window.regenerate());
	await is("error", "");
	await comes(30);
	expect(asked).toEqual(["POST", "DELETE", "POST"]);
});

test("a refusal, and another question after it", async () => {
	await page.evaluate(() => window.ask(""));
	await is("status", "failed");
	await is("error", "invalid");
	errors = errors.filter((text) => !text.startsWith("Failed to load resource")); // the 400
	await page.evaluate(() => window.ask("table error"));
	await is("error", "demo_error");
	await is("infos", "2");
});

describe("whose gateway the page plays", () => {
	beforeEach(async () => {
		await page.goto(modules.page("client/browser/pages/scripted-answer.tsx"));
		await page.waitForFunction(() => "enter" in window);
	});

	test("an answer of a component that React leaves and enters again: it goes on, asked once", async () => {
		await page.evaluate(() => window.enter({ mode: "visible" }));
		await is("status", "idle");
		await page.evaluate(() => window.ask("q"));
		await page.evaluate(() => window.say("info", "1"));
		await page.evaluate(() => window.say("add", "Hel"));
		await is("text", "Hel");
		await page.evaluate(() => window.enter({ mode: "hidden" }));
		await page.waitForFunction(
			() => document.querySelector("#root p")?.checkVisibility() === false,
		);
		await page.evaluate(() => window.say("add", "lo"));
		await page.evaluate(() => window.say("info", "2"));
		await page.evaluate(() => window.enter({ mode: "visible" }));
		await is("text", "Hello");
		await is("infos", "[1,2]");
		await page.evaluate(() => window.say("finish", ""));
		await is("status", "finished");
		expect(await page.evaluate(() => window.methods)).toEqual(["POST", "GET"]);
	});

	test("a question that is asked by an effect, in StrictMode: asked once", async () => {
		await page.evaluate(() => window.enter({ mode: "visible", question: "q" }));
		await is("status", "asking");
		await page.evaluate(() => window.say("add", "Hello"));
		await page.evaluate(() => window.say("finish", "null"));
		await is("status", "finished");
		expect(await page.evaluate(() => window.methods)).toEqual(["POST"]);
	});

	test("a question that is no JSON throws, and leaves the answer before it", async () => {
		await page.evaluate(() => window.enter({ mode: "visible" }));
		await is("status", "idle");
		await page.evaluate(() => window.ask("q"));
		await page.evaluate(() => window.say("add", "Hel"));
		await is("text", "Hel");
		await expect(page.evaluate(() => window.ask(1n))).rejects.toThrow(/BigInt/);
		await is("status", "idle");
		await is("text", "");
	});

	test("after a gap the infos come again with the text, not twice", async () => {
		await page.evaluate(() => window.enter({ mode: "visible" }));
		await is("status", "idle");
		await page.evaluate(() => window.ask("q"));
		await page.evaluate(() => window.say("info", "1"));
		await page.evaluate(() => window.say("add", "Hello"));
		await is("text", "Hello");
		await page.evaluate(() => window.gap());
		await page.evaluate(() => window.say("finish", ""));
		await is("status", "finished");
		await is("infos", "[1]");
		await is("text", "Hello");
	});
});
