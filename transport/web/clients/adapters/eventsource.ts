import { EventSource } from "eventsource";
import type { Client } from "../client.ts";
import { FORGETS_PRIMING } from "../quirks.ts";
import { accepting, listen } from "./event-source.ts";

/** With its `fetch` option, its documented way to send headers. */
export const eventsource: Client = {
	name: "eventsource",
	takesAccept: true,
	quirks: { "cut in the first event": FORGETS_PRIMING },
	open: (url, options, report) => {
		const source = new EventSource(url, {
			fetch: (input, init) =>
				fetch(input, { ...init, headers: { ...init.headers, ...accepting(options) } }),
		});
		return listen(source, options, report);
	},
};
