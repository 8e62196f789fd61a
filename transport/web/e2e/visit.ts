import type { Browser, BrowserContextOptions, Page } from "playwright-core";

declare global {
	interface Window {
		/** The ids that the page's EventSources have dispatched, by subject. */
		seen: Record<string, string[]>;
	}
}

/** An open page, and everything that went wrong on it. */
export interface Visit {
	readonly page: Page;
	/** Exceptions, and the console's errors: violations of the policy among them. */
	readonly errors: string[];
}

/** Opens the console page in a context of its own. */
export async function visit(
	browser: Browser,
	url: string,
	options: BrowserContextOptions = {},
): Promise<Visit> {
	const context = await browser.newContext({ reducedMotion: "reduce", ...options });
	const page = await context.newPage();
	const errors: string[] = [];
	page.on("pageerror", (error) => errors.push(String(error)));
	page.on("console", (message) => {
		// A connection that the test cuts is an error to the console.
		if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
			errors.push(message.text());
		}
	});
	await page.addInitScript(recordIds);
	await page.goto(url);
	return { page, errors };
}

/** Notes ids beside the page, so that its own bookkeeping is not all we have. */
function recordIds(): void {
	window.seen = {};
	const Native = window.EventSource;
	window.EventSource = class extends Native {
		constructor(url: string | URL, init?: EventSourceInit) {
			super(url, init);
			const subject = new URL(url, document.baseURI).searchParams.get("subject") ?? "";
			window.seen[subject] ??= [];
			const ids = window.seen[subject];
			for (const type of ["message", "notification"]) {
				this.addEventListener(type, (e) => ids.push((e as MessageEvent).lastEventId));
			}
		}
	};
}

/** Waits until an element's text satisfies a pattern, and returns it. */
export async function textOf(page: Page, selector: string, pattern: RegExp): Promise<string> {
	const element = page.locator(selector).filter({ hasText: pattern }).first();
	await element.waitFor();
	return (await element.textContent()) ?? "";
}

/** Reads a figure of the page's. */
export async function figure(page: Page, selector: string): Promise<number> {
	return Number((await textOf(page, selector, /\d/)).replaceAll(",", ""));
}
