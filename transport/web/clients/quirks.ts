import type { Quirk } from "./client.ts";

// What several clients get wrong.

/** The standard takes an id over at the blank line, data or not. */
export const FORGETS_PRIMING: Quirk = {
	does: "takes no id over without an event: cut before its first event is whole, it begins anew",
	outcome: { events: [["message", "four"]] },
	around: {
		says: "Begin at a position: `from=<id>`, with the `last_event_id` of a JSON page.",
		fromPosition: true,
	},
};

/** The standard takes an id over at the blank line, and not before. */
export const SKIPS_EVENT: Quirk = {
	does: "takes an id over with its line: cut between that and the blank line, it skips the event",
	outcome: {
		events: [
			["message", "one"],
			["message", "three"],
			["message", "four"],
		],
	},
};
