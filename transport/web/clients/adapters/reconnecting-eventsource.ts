import ReconnectingEventSource from "reconnecting-eventsource";
import type { Client, Quirk } from "../client.ts";

const refusedForEver: Quirk = {
	does: "tries again for ever after a 401 and other refusals, and fires no error",
	outcome: { afterwards: "returns" },
};

export const reconnectingEventSource: Client = {
	name: "reconnecting-eventsource",
	takesAccept: false,
	quirks: {
		"401": refusedForEver,
		"JSON answer: an error": refusedForEver,
		finish: {
			does: "tries again for ever after a 204",
			outcome: { afterwards: "returns" },
			around: { says: "Close it when the last event has come.", closeOn: "finish" },
		},
	},
	open: (url, { types }, report) => {
		const source = new ReconnectingEventSource(url, { max_retry_time: 500 /* 3 s by default */ });
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
