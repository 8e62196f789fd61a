import { EventSourcePolyfill } from "event-source-polyfill";
import type { Client } from "../client.ts";
import { FORGETS_PRIMING } from "../quirks.ts";
import { accepting, listen } from "./event-source.ts";

export const eventSourcePolyfill: Client = {
	name: "event-source-polyfill",
	takesAccept: true,
	quirks: { "cut in the first event": FORGETS_PRIMING },
	open: (url, options, report) =>
		listen(new EventSourcePolyfill(url, { headers: accepting(options) }), options, report),
};
