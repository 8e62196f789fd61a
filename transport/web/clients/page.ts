import type { OpenOptions, Report } from "./client.ts";
import { IN_BROWSER } from "./in-browser.ts";

declare global {
	interface Window {
		/** Opens a stream with the client of that name. */
		openClient(session: number, name: string, url: string, options: OpenOptions): void;
		closeClient(session: number): void;
		/** The test's side. */
		report(session: number, report: Report): void;
	}
}

const open = new Map<number, () => void>();

window.openClient = (session, name, url, options) => {
	const client = IN_BROWSER.find((client) => client.name === name);
	if (client === undefined) {
		throw new Error(`no client is called ${name}`);
	}
	open.set(
		session,
		client.open(url, options, (report) => window.report(session, report)),
	);
};

window.closeClient = (session) => {
	open.get(session)?.();
	open.delete(session);
};
