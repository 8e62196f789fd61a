import { curl } from "./adapters/curl.ts";
import { eventsource } from "./adapters/eventsource.ts";
import { eventsourceClient } from "./adapters/eventsource-client.ts";
import { goSse } from "./adapters/go-sse.ts";
import { launchdarkly } from "./adapters/launchdarkly-eventsource.ts";
import { undici } from "./adapters/undici.ts";
import type { Client } from "./client.ts";

/** The clients that are tested in this process, or started by it. */
export const IN_NODE: readonly Client[] = [
	eventsource,
	undici,
	eventsourceClient,
	launchdarkly,
	goSse,
	curl,
];
