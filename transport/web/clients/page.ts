import type { OpenOptions, Report } from "./client.ts";
import { IN_BROWSER } from "./in-browser.ts";

declare global {
	interface Window {
		/** Opens a stream with that of the clients. */
		openClient(session: number, client: number, url: string, options: OpenOptions): void;
		closeClient(session: number): void;
		/** The test's side. */
		report(session: number, report: Report): void;
	}
}

const open = new Map<number, () => void>();

window.openClient = (session, client, url, options) => {
	const report = (report: Report) => window.report(session, report);
	const close = IN_BROWSER[client]?.open(url, options, report);
	if (close === undefined) {
		throw new Error(`there is no client ${client}`);
	}
	open.set(session, close);
};

window.closeClient = (session) => {
	open.get(session)?.();
	open.delete(session);
};
