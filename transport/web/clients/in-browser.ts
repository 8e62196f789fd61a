import { eventSourcePolyfill } from "./adapters/event-source-polyfill.ts";
import { extendedEventSource } from "./adapters/extended-eventsource.ts";
import { fetchEventSourceGet, fetchEventSourcePost } from "./adapters/fetch-event-source.ts";
import { native } from "./adapters/native.ts";
import { reconnectingEventSource } from "./adapters/reconnecting-eventsource.ts";
import { ringcast } from "./adapters/ringcast.ts";
import type { Client } from "./client.ts";

/** The clients that are tested in Chromium, where they are used most. */
export const IN_BROWSER: readonly Client[] = [
	ringcast,
	native,
	fetchEventSourceGet,
	fetchEventSourcePost,
	extendedEventSource,
	eventSourcePolyfill,
	reconnectingEventSource,
];
