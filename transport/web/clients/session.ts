import { EventEmitter, once } from "node:events";
import type { Browser, Page } from "playwright-core";
import type { ModuleServer } from "../testing/modules.ts";
import type { Client, OpenOptions, Report } from "./client.ts";
import { IN_BROWSER } from "./in-browser.ts";

export type SeenEvent = Extract<Report, { kind: "event" }>;

/** A client that is following a stream, and all that it has reported. */
export class Session {
	readonly seen: Report[] = [];
	private readonly changed = new EventEmitter();

	/** Closes the client. */
	close: () => unknown = () => {};

	constructor(private readonly closeOn: string | undefined) {}

	readonly report = (report: Report): void => {
		this.seen.push(report);
		this.changed.emit("report");
		if (report.kind === "event" && report.type === this.closeOn) {
			this.close();
			this.report({ kind: "closed" });
		}
	};

	get events(): SeenEvent[] {
		return this.seen.filter((report) => report.kind === "event");
	}

	/** Whether the client has ended for good. */
	get closed(): boolean {
		return this.seen.some(({ kind }) => kind === "closed");
	}

	/** Resolves once what was reported fulfils the condition. */
	async until(condition: () => boolean): Promise<void> {
		while (!condition()) {
			await once(this.changed, "report");
		}
	}
}

/** Where clients run: opens sessions of them. */
export interface Host {
	start(client: Client, url: string, options: OpenOptions, closeOn?: string): Promise<Session>;
}

/** The process of the tests. */
export const node: Host = {
	start: async (client, url, options, closeOn) => {
		const session = new Session(closeOn);
		session.close = client.open(url, options, session.report);
		return session;
	},
};

/** One page, in which all sessions run: each has a gateway's origin of its own. */
export class Chromium implements Host {
	private readonly sessions: Session[] = [];

	private constructor(private readonly page: Page) {}

	static async open(browser: Browser, modules: ModuleServer): Promise<Chromium> {
		const page = await browser.newPage();
		const chromium = new Chromium(page);
		await page.exposeFunction("report", (session: number, report: Report) =>
			chromium.sessions[session]?.report(report),
		);
		await page.goto(modules.page("clients/page.ts"));
		await page.waitForFunction(() => "openClient" in window);
		return chromium;
	}

	async start(
		client: Client,
		url: string,
		options: OpenOptions,
		closeOn?: string,
	): Promise<Session> {
		const session = new Session(closeOn);
		const number = this.sessions.push(session) - 1;
		session.close = () => this.page.evaluate((n) => window.closeClient(n), number);
		await this.page.evaluate(
			([n, client, url, options]) => window.openClient(n, client, url, options),
			[number, IN_BROWSER.indexOf(client), url, options] as const,
		);
		return session;
	}
}
