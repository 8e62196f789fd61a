import { expect } from "vitest";
import type { Client, ScenarioName } from "./client.ts";
import type { Session } from "./session.ts";
import { positionAsked, type Stage } from "./stage.ts";

/** What came of a scenario, as the client shows it. */
export type Outcome = Readonly<Record<string, unknown>>;

export interface Scenario {
	readonly name: ScenarioName;
	/** What is expected of a client without faults. */
	readonly expected: Outcome;
	/** Plays it, checks what is on the wire whatever the client does, and tells the outcome. */
	play(stage: Stage): Promise<Outcome>;
	/** Whether it can be played with a client; all by default. */
	applies?(client: Client): boolean;
}

const connect: Scenario = {
	name: "connect",
	expected: { opens: true, events: [["message", "one"]], emptyMessages: false },
	async play(stage) {
		const session = await stage.open({ subject: stage.subject });
		const { method, url, headers, answer } = await stage.alive();
		await stage.publish("one");
		await session.until(() => has(session, "one"));
		// Blocks for those that say that they follow the standard.
		const standard = method === "GET" && headers["cache-control"] === "no-cache";
		const lines = new URL(url, "http://localhost").searchParams.get("bookmarks") === "line";
		expect(answer.body).toMatch(
			standard && !lines ? /^retry: 200\nid: \S+\n\n/ : /^retry: 200\nid: \S+\n\S/,
		);
		expect(answer.headers["content-type"]).toBe("text/event-stream");
		expect(answer.headers["cache-control"]).toBe("no-store, no-transform");
		const opens = session.seen.some(({ kind }) => kind === "open");
		return { opens, ...stage.told(session) };
	},
};

const namedEvents: Scenario = {
	name: "named events",
	expected: {
		events: [
			["add", " with a leading space"],
			["message", "two\nlines"],
			["finish", '{"text":"Grüße ✓"}'],
		],
		emptyMessages: false,
	},
	async play(stage) {
		const session = await stage.open({ subject: stage.subject });
		await stage.subscribed();
		await stage.publish(" with a leading space", "add");
		await stage.publish("two\nlines");
		await stage.publish('{"text":"Grüße ✓"}', "finish");
		await session.until(() => has(session, '{"text":"Grüße ✓"}'));
		return stage.told(session);
	},
};

/** Where the second event is cut: right after what matches. */
const CUTS = [
	["in the data", /data: tw/],
	["before the id line", /data: two\n/],
	["in the id line", /data: two\nid: \d/],
	["before the blank line", /data: two\nid: \S+\n/],
] as const;

const NOTHING_LOST: Outcome = {
	events: [
		["message", "one"],
		["message", "two"],
		["message", "three"],
		["message", "four"],
	],
	emptyMessages: false,
};

const cuts = CUTS.map(
	([where, pattern]): Scenario => ({
		name: `cut ${where}`,
		expected: NOTHING_LOST,
		async play(stage) {
			stage.proxy.cutAfter(pattern);
			const session = await stage.open({ subject: stage.subject });
			await stage.subscribed();
			await stage.publish("one");
			await session.until(() => has(session, "one"));
			await stage.publish("two");
			await cut(stage);
			return await comeBack(stage, session);
		},
	}),
);

/** With no event before it, the client has the position that a stream begins with. */
const cutInFirst: Scenario = {
	name: "cut in the first event",
	expected: NOTHING_LOST,
	async play(stage) {
		stage.proxy.cutAfter(/data: on/);
		const session = await stage.open({ subject: stage.subject });
		await stage.subscribed();
		await stage.publish("one");
		await cut(stage);
		await stage.publish("two");
		return await comeBack(stage, session);
	},
};

async function cut({ proxy }: Stage): Promise<void> {
	await proxy.until(() => proxy.exchanges[0]?.answer.end === "cut");
}

/** An event while the client is away, and one when it is back. */
async function comeBack(stage: Stage, session: Session): Promise<Outcome> {
	await stage.publish("three");
	stage.proxy.restore();
	const back = await stage.subscribed(1);
	await stage.publish("four");
	await session.until(() => has(session, "four"));
	stage.expectWhole(back);
	return stage.told(session);
}

const unauthorized: Scenario = {
	name: "401",
	expected: { events: [], emptyMessages: false, afterwards: "ends" },
	play: (stage) => refuse(stage, { subject: "events.private" }, 401),
};

const jsonError: Scenario = {
	name: "JSON answer: an error",
	expected: { events: [], emptyMessages: false, afterwards: "ends" },
	play: (stage) => refuse(stage, { subject: stage.subject, colour: "red" }, 400),
};

async function refuse(
	stage: Stage,
	parameters: Readonly<Record<string, string>>,
	status: number,
): Promise<Outcome> {
	const session = await stage.open(parameters);
	const afterwards = await endsOrReturns(stage, session, 2);
	for (const { answer, headers } of stage.proxy.exchanges.slice(0, 2)) {
		expect(answer.status).toBe(status);
		expect(answer.headers["content-type"]).toBe("application/problem+json");
		expect(answer.headers["access-control-allow-origin"]).toBe(headers.origin);
	}
	return { ...stage.told(session), afterwards };
}

const jsonPage: Scenario = {
	name: "JSON answer: a page",
	expected: { events: [], emptyMessages: false, afterwards: "ends" },
	applies: (client) => client.takesAccept,
	async play(stage) {
		const id = await stage.publish("one");
		const session = await stage.open(
			{ subject: stage.subject, from: "oldest" },
			{ accept: "application/json" },
		);
		const afterwards = await endsOrReturns(stage, session, 2);
		const [first] = stage.proxy.exchanges;
		expect(first?.answer.headers["content-type"]).toBe("application/json");
		expect(JSON.parse(first?.answer.body ?? "").events).toMatchObject([{ id, data: "one" }]);
		return { ...stage.told(session), afterwards };
	},
};

const finish: Scenario = {
	name: "finish",
	expected: {
		events: [
			["message", "one"],
			["finish", "last"],
		],
		emptyMessages: false,
		afterwards: "ends",
	},
	async play(stage) {
		const session = await stage.open({ subject: stage.subject });
		const { answer } = await stage.subscribed();
		await stage.publish("one");
		await stage.finish("last");
		await stage.proxy.until(() => answer.end !== "open");
		expect(answer.end).toBe("clean");
		const afterwards = await endsOrReturns(stage, session, 4);
		for (const { answer } of stage.proxy.exchanges.slice(1, 4)) {
			expect(answer.status).toBe(204);
		}
		return { ...stage.told(session), afterwards };
	},
};

const restart: Scenario = {
	name: "gateway restart",
	expected: {
		events: [
			["message", "one"],
			["message", "two"],
		],
		emptyMessages: false,
	},
	async play(stage) {
		const ringcast = await stage.props.startGateway();
		try {
			const session = await stage.open({ subject: stage.subject }, { url: ringcast.url });
			await session.until(() => session.seen.some(({ kind }) => kind === "open"));
			await stage.publish("one", undefined, ringcast);
			await session.until(() => has(session, "one"));
			await ringcast.kill();
			await ringcast.start();
			await stage.publish("two", undefined, ringcast);
			await session.until(() => has(session, "two"));
			return stage.told(session);
		} finally {
			await ringcast.stop();
		}
	},
};

const gap: Scenario = {
	name: "gap",
	expected: {
		events: [
			["message", "before"],
			["ringcast.gap", "reset"],
			["message", "after"],
		],
		emptyMessages: false,
	},
	async play(stage) {
		const { other } = stage.props;
		const session = await stage.open({ subject: stage.subject });
		await stage.subscribed();
		await stage.publish("before");
		await session.until(() => has(session, "before"));
		stage.proxy.switchTo(other.url);
		const back = await stage.subscribed(1);
		await stage.publish("after", undefined, other);
		await session.until(() => has(session, "after"));
		const [, told = ""] = /^event: ringcast.gap\ndata: (.*)\n/m.exec(back.answer.body) ?? [];
		expect(JSON.parse(told)).toMatchObject({
			reason: "reset",
			requested: positionAsked(back),
		});
		const { events, emptyMessages } = stage.told(session);
		const reasons = events.map(([type, data]) => {
			return type === "ringcast.gap" ? [type, JSON.parse(data).reason] : [type, data];
		});
		return { events: reasons, emptyMessages };
	},
};

export const SCENARIOS: readonly Scenario[] = [
	connect,
	namedEvents,
	cutInFirst,
	...cuts,
	unauthorized,
	jsonError,
	jsonPage,
	finish,
	restart,
	gap,
];

function has(session: Session, data: string): boolean {
	return session.events.some((event) => event.data === data);
}

/** Tells whether the client ends or makes a request of that number. */
async function endsOrReturns(stage: Stage, session: Session, request: number): Promise<string> {
	const { exchanges } = stage.proxy;
	await Promise.race([
		session.until(() => session.closed),
		stage.proxy.until(() => (exchanges[request - 1]?.answer.status ?? 0) > 0),
	]);
	return session.closed ? "ends" : "returns";
}
