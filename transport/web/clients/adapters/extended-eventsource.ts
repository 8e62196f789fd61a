import { EventSource } from "extended-eventsource";
import type { Client, Quirk } from "../client.ts";
import { listen } from "./event-source.ts";

const firesEmpty: Quirk = {
	reason: "fires an empty message for an id without data",
	outcome: { emptyMessages: true },
	around: { says: "bookmarks=line", query: { bookmarks: "line" } },
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
			reason: "takes the id over with its line, and so skips the event that it has not handed over",
			outcome: {
				emptyMessages: true,
				events: [
					["message", "one"],
					["message", "three"],
					["message", "four"],
				],
			},
		},
		finish: firesEmpty,
		"gateway restart": firesEmpty,
		gap: firesEmpty,
	},
	open: (url, options, report) =>
		listen(new EventSource(url, { disableLogger: true }), options, report),
};
