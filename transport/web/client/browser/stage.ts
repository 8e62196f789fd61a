import type { Browser, BrowserContext, Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { launch } from "../../testing/browser.ts";
import { ModuleServer } from "../../testing/modules.ts";
import { ReverseProxy } from "../../testing/reverse-proxy.ts";
import { Ringcast } from "../../testing/ringcast.ts";
import type { Plan, Told } from "./pages/told.ts";

/** How long a page is waited for: 20 s on a busy machine, below any delay that a test rules out. */
const PATIENT = { timeout: 20_000 };

let subjects = 0;

/** A gateway, pages of an origin that it allows, and a browser; of each test a proxy and a subject. */
export class Stage {
	proxy!: ReverseProxy;
	subject = "";
	/** What was published, as a page shall tell it. */
	published: Told["events"] = [];

	private constructor(
		readonly modules: ModuleServer,
		readonly ringcast: Ringcast,
		readonly browser: Browser,
	) {}

	static async build(...flags: string[]): Promise<Stage> {
		const modules = await ModuleServer.start();
		const ringcast = await Ringcast.serve(`--cors-origins=${modules.origin}`, ...flags);
		return new Stage(modules, ringcast, await launch());
	}

	async tearDown(): Promise<void> {
		await this.browser.close();
		await this.ringcast.stop();
		await this.modules.close();
	}

	/** Begins a test: nothing has passed the proxy, and nothing was published. */
	async begin(): Promise<void> {
		const proxy = await ReverseProxy.to(this.ringcast.url);
		onTestFinished(() => proxy.close());
		this.proxy = proxy;
		this.subject = `events.browser.${++subjects}`;
		this.published = [];
	}

	/** Opens a page of a module in a browser context of its own. */
	async page(module: string): Promise<{ page: Page; context: BrowserContext }> {
		const context = await this.browser.newContext();
		onTestFinished(() => context.close());
		const page = await context.newPage();
		await page.goto(this.modules.page(`client/browser/pages/${module}`));
		return { page, context };
	}

	/** Opens a page with a stream of the test's subject through the proxy, and waits for it. */
	async stream(
		plan: Plan = {},
		module = "stream.ts",
	): Promise<{ page: Page; context: BrowserContext }> {
		const opened = await this.page(module);
		await opened.page.evaluate(([url, plan]) => window.openStream(url, plan), [
			`${this.proxy.url}/v1/stream`,
			{ subjects: this.subject, retry: { baseMs: 100 }, ...plan },
		] as const);
		await expect.poll(() => told(opened.page).then(({ opened }) => opened), PATIENT).toBe(1);
		return opened;
	}

	async publish(...data: string[]): Promise<void> {
		for (const datum of data) {
			this.published.push([await this.ringcast.publish(this.subject, datum), datum]);
		}
	}

	/** Waits until the page has had all that was published, and checks that it had nothing twice. */
	async expectAll(page: Page): Promise<void> {
		const { length } = this.published;
		await expect.poll(() => told(page).then(({ events }) => events.length), PATIENT).toBe(length);
		expect((await told(page)).events).toEqual(this.published);
	}
}

export function told(page: Page): Promise<Told> {
	return page.evaluate(() => window.told);
}

/** Waits for a page to tell something. */
export async function expectTold(page: Page, expected: Partial<Told>): Promise<void> {
	await expect.poll(() => told(page), PATIENT).toMatchObject(expected);
}
