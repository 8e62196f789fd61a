import ReconnectingEventSource from "reconnecting-eventsource";
import type { Client, Quirk } from "../client.ts";

const triesForEver: Quirk = {
	reason: "begins anew for ever whatever ends its EventSource, and tells nobody",
	outcome: { afterwards: "returns" },
};

export const reconnectingEventSource: Client = {
	name: "reconnecting-eventsource",
	takesAccept: false,
	quirks: {
		"401": triesForEver,
		"JSON answer: an error": triesForEver,
		finish: {
			...triesForEver,
			around: { says: "closes when the last event has come", closeOn: "finish" },
		},
	},
	open: (url, { types }, report) => {
		const source = new ReconnectingEventSource(url, { max_retry_time: 500 });
		source.onopen = () => report({ kind: "open" });
		source.onerror = () => report({ kind: "error", message: "" });
		for (const type of types) {
			source.addEventListener(type, ({ data, lastEventId }: MessageEvent<string>) =>
				report({ kind: "event", type, data, id: lastEventId }),
			);
		}
		return () => source.close();
	},
};
