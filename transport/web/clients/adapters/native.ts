import type { Client } from "../client.ts";
import { listen } from "./event-source.ts";

/** Chromium's own EventSource. */
export const native: Client = {
	name: "native EventSource",
	takesAccept: false,
	quirks: {},
	open: (url, options, report) => listen(new EventSource(url), options, report),
};
