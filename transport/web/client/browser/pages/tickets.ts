import { openEventSource, type StreamParameters } from "../../src/tickets.ts";
import { nothingTold, type Told } from "./told.ts";

declare global {
	interface Window {
		told: Told;
		/** Opens a native EventSource with tickets; events of type `typed` are told too. */
		openTicketed(endpoint: string, parameters: StreamParameters, token?: string): void;
	}
}

window.openTicketed = (endpoint, parameters, token) => {
	const told = nothingTold();
	window.told = told;
	const tell = (event: MessageEvent<string>) => told.events.push([event.lastEventId, event.data]);
	const source = openEventSource(endpoint, parameters, {
		headers: () => (token === undefined ? {} : { Authorization: `Bearer ${token}` }),
		onopen: () => told.opened++,
		onmessage: tell,
		onerror: ({ code }) => told.errors.push(code),
	});
	source.addEventListener("typed", tell);
	source.done.then(
		({ reason }) => {
			told.end = reason;
		},
		({ code }) => {
			told.end = code;
		},
	);
};
