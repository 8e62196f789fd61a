import { createEventStream } from "../../client/src/index.ts";
import type { Client } from "../client.ts";
import { accepting } from "./event-source.ts";

/** What the others are compared with. */
export const ringcast: Client = {
	name: "@ringcast/client",
	takesAccept: true,
	quirks: {},
	open: (url, options, report) => {
		const stream = createEventStream(url, {
			headers: accepting(options),
			onopen: () => report({ kind: "open" }),
			onmessage: ({ type, data, lastEventId }) =>
				report({ kind: "event", type, data, id: lastEventId }),
			ongap: (gap) =>
				report({
					kind: "event",
					type: "ringcast.gap",
					data: JSON.stringify(gap),
					id: stream.lastEventId,
				}),
			onerror: ({ message }) => report({ kind: "error", message }),
			onclose: () => report({ kind: "closed" }),
		});
		stream.done.catch(() => {}); // onclose has told
		return () => stream.close();
	},
};
