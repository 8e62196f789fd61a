import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch } from "../testing/browser.ts";
import { ModuleServer } from "../testing/modules.ts";
import { Ringcast } from "../testing/ringcast.ts";
import type { Client } from "./client.ts";
import { IN_BROWSER } from "./in-browser.ts";
import { IN_NODE } from "./in-node.ts";
import { SCENARIOS } from "./scenarios.ts";
import { Chromium, type Host, node } from "./session.ts";
import { type Props, Stage } from "./stage.ts";

/** Those that Vite has to make modules of first. */
const PACKAGES = [
	"@microsoft/fetch-event-source",
	"event-source-polyfill",
	"extended-eventsource",
	"reconnecting-eventsource",
];

let modules: ModuleServer;
let browser: Browser;
let chromium: Chromium;
let props: Props;

beforeAll(async () => {
	modules = await ModuleServer.start(PACKAGES);
	const startGateway = () =>
		Ringcast.serve(
			`--cors-origins=${modules.origin}`,
			"--heartbeat=1s",
			"--anonymous=subscribe events.clients.>,publish events.clients.>", // no other without a token
		);
	const [ringcast, other] = await Promise.all([startGateway(), startGateway()]);
	props = { ringcast, other, startGateway };
	browser = await launch();
	chromium = await Chromium.open(browser, modules);
});

afterAll(async () => {
	await browser?.close();
	await props?.ringcast.stop();
	await props?.other.stop();
	await modules?.close();
});

const rows: readonly (readonly [Client, () => Host])[] = [
	...IN_BROWSER.map((client) => [client, () => chromium] as const),
	...IN_NODE.map((client) => [client, () => node] as const),
];

for (const [client, host] of rows) {
	const name = client.posts ? `${client.name}, with POST` : client.name;
	describe.concurrent(name, () => playAll(client, host));
}

function playAll(client: Client, host: () => Host): void {
	for (const scenario of SCENARIOS) {
		if (scenario.applies?.(client) === false) {
			continue;
		}
		const quirk = client.quirks[scenario.name];
		test(scenario.name + (quirk === undefined ? "" : `: it ${quirk.does}`), async (context) => {
			const expected = { ...scenario.expected, ...quirk?.outcome };
			const stage = await Stage.set(context, props, client, host());
			expect(await scenario.play(stage)).toEqual(expected);
		});
		if (quirk?.around !== undefined) {
			const { around } = quirk;
			test(`${scenario.name}: ${around.says}`, async (context) => {
				const stage = await Stage.set(context, props, client, host(), around);
				expect(await scenario.play(stage)).toEqual(scenario.expected);
			});
		}
	}
}
