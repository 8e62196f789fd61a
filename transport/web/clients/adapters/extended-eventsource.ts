import { EventSource } from "extended-eventsource";
import type { Client, Quirk } from "../client.ts";
import { SKIPS_EVENT } from "../quirks.ts";
import { listen } from "./event-source.ts";

const firesEmpty: Quirk = {
	does: "fires an empty message for an id without data",
	outcome: { emptyMessages: true },
	around: { says: "Ask for `bookmarks=line`.", query: { bookmarks: "line" } },
};

export const extendedEventSource: Client = {
	name: "extended-eventsource",
	takesAccept: false, // it has its own after those that it is given
	quirks: {
		connect: firesEmpty,
		"named events": firesEmpty,
		"cut in the first event": firesEmpty,
		"cut in the data": firesEmpty,
		"cut before the id line": firesEmpty,
		"cut in the id line": firesEmpty,
		"cut before the blank line": {
			...SKIPS_EVENT,
			outcome: { ...SKIPS_EVENT.outcome, ...firesEmpty.outcome },
		},
		finish: firesEmpty,
		"gateway restart": firesEmpty,
		gap: firesEmpty,
	},
	open: (url, options, report) =>
		listen(new EventSource(url, { disableLogger: true }), options, report),
};
