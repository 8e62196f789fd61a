import { EventSource } from "launchdarkly-eventsource";
import type { Client } from "../client.ts";
import { FORGETS_PRIMING } from "../quirks.ts";
import { accepting } from "./event-source.ts";

export const launchdarkly: Client = {
	name: "launchdarkly-eventsource",
	takesAccept: true,
	quirks: {
		"cut in the first event": FORGETS_PRIMING,
		"JSON answer: a page": {
			does: "takes any 200 for a stream, JSON too, and tries again for ever",
			outcome: { afterwards: "returns" },
			around: { says: "Look at the content type in the `open` event, and close." },
		},
	},
	open: (url, options, report) => {
		const source = new EventSource(url, { headers: accepting(options) });
		source.on("open", ({ headers }) => {
			report({ kind: "open" });
			if (options.careful && headers?.["content-type"] !== "text/event-stream") {
				source.close();
			}
		});
		source.on("error", ({ message }) => report({ kind: "error", message: message ?? "" }));
		source.on("closed", () => report({ kind: "closed" }));
		for (const type of options.types) {
			source.on(type, ({ data, lastEventId }) =>
				report({ kind: "event", type, data: data ?? "", id: lastEventId ?? "" }),
			);
		}
		return () => source.close();
	},
};
