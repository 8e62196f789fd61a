import { createEventStream, type EventStreamOptions } from "../../src/index.ts";

declare global {
	interface Window {
		/** The data of the first event of a stream. */
		first(url: string, options: EventStreamOptions): Promise<string | undefined>;
	}
}

window.first = async (url, options) => {
	for await (const event of createEventStream(url, options)) {
		return event.data;
	}
	return undefined;
};
