import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { TcpProxy } from "../../testing/proxy.ts";
import { Ringcast } from "../../testing/ringcast.ts";
import {
	Failure,
	type Handler,
	type Question,
	Refusal,
	type ServeOptions,
	serve,
	type Worker,
} from "../src/index.ts";

let ringcast: Ringcast;
let natsUrl: string;
let nc: NatsConnection;

beforeAll(async () => {
	ringcast = await Ringcast.serve();
	const status = await fetch(`${ringcast.url}/v1/status`);
	natsUrl = ((await status.json()) as { nats: { url: string } }).nats.url;
	nc = await connect({ servers: natsUrl });
});

afterAll(async () => {
	await nc.close();
	await ringcast.stop();
});

/** What goes wrong in the workers of a test, told to nobody else. */
const errors: unknown[] = [];

let subjects = 0;

/** Runs a worker on a subject of its own until the test ends. */
async function work(
	handler: Handler,
	options: Partial<ServeOptions> = {},
	connection = nc,
): Promise<Worker & { subject: string }> {
	const subject = options.subject ?? `test.${subjects++}`;
	const worker = await serve(
		connection,
		{ subject, onerror: (error) => errors.push(error), ...options },
		handler,
	);
	onTestFinished(() => worker.stop());
	return Object.assign(worker, { subject });
}

/** An answer as the gateway gives it to who waits for JSON. */
interface Whole {
	readonly id: string;
	readonly text: string;
	readonly events: { readonly type: string; readonly data: string }[];
	readonly finish: unknown;
	readonly error: unknown;
}

async function post(subject: string, body: unknown, headers: HeadersInit = {}): Promise<Response> {
	return await fetch(`${ringcast.url}/v1/ask/${subject}`, {
		method: "POST",
		headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
		body: JSON.stringify(body),
	});
}

async function ask(subject: string, body: unknown = {}): Promise<Whole> {
	return (await (await post(subject, body)).json()) as Whole;
}

/** Asks, and returns the answer's id once a worker has taken the question. */
async function begin(subject: string, body: unknown = {}): Promise<string> {
	const answer = await post(subject, body, { Prefer: "respond-async" });
	expect(answer.status).toBe(202);
	return ((await answer.json()) as { id: string }).id;
}

/** The whole answer that was begun. */
async function rest(id: string): Promise<Whole> {
	const answer = await fetch(`${ringcast.url}/v1/ask/${id}`, {
		headers: { Accept: "application/json" },
	});
	return (await answer.json()) as Whole;
}

async function stop(id: string): Promise<void> {
	const answer = await fetch(`${ringcast.url}/v1/ask/${id}`, { method: "DELETE" });
	expect(answer.status).toBe(202);
}

const said = ({ events }: Whole) => events.map(({ type, data }) => [type, data]);

test("says what a generator yields, in order, and finishes", async () => {
	let asked: Question | undefined;
	const { subject } = await work(
		async function* (question) {
			asked = question;
			yield "Hello";
			yield ",\n  wörld 👩‍💻";
			yield { type: "info", data: { references: [1] } };
			yield { type: "tool", data: "as it is" };
			yield { type: "tool", data: new Uint8Array([0x61]) };
			yield "";
			yield "!";
			yield { type: "finish", data: { reason: "stop" } };
			yield "never said";
		},
		{ separate: true },
	);
	const whole = await ask(subject, { messages: ["Hi"] });
	expect(said(whole)).toEqual([
		["add", "Hello"],
		["add", ",\n  wörld 👩‍💻"],
		["info", '{"references":[1]}'],
		["tool", "as it is"],
		["tool", "a"],
		["add", "!"],
		["finish", '{"reason":"stop"}'],
	]);
	expect(whole.text).toBe("Hello,\n  wörld 👩‍💻!");
	expect(asked).toMatchObject({ id: whole.id, subject, identity: "", body: { messages: ["Hi"] } });
});

test.each<[string, Handler, string]>([
	["a string", () => "whole", "whole"],
	["a promise of an array", async () => ["a", "b"], "ab"],
	[
		"a ReadableStream",
		() => new Blob(["streamed"]).stream().pipeThrough(new TextDecoderStream()),
		"streamed",
	],
	[
		"a generator",
		function* () {
			yield "x";
			yield { type: "add", data: "y" };
		},
		"xy",
	],
])("takes %s", async (_, handler, text) => {
	const { subject } = await work(handler);
	expect(await ask(subject)).toMatchObject({ text, error: null });
});

test("joins what comes while an event is under way, and cuts nothing within a character", async () => {
	const text = "añb👩‍💻\r\n ".repeat(20_000);
	const { subject } = await work(() => text); // by characters
	const halves = await work(() => text.slice(0, 3_000).split(""), { buffer: 100 });
	const lone = await work(() => ["x", "\ud83d"]);
	const joined = await ask(subject);
	expect(joined.text).toBe(text);
	expect(joined.events.length).toBeLessThan(text.length / 100);
	expect((await ask(halves.subject)).text).toBe(text.slice(0, 3_000));
	expect((await ask(lone.subject)).text).toBe("x\uFFFD");
});

test("fails with what is thrown", async () => {
	const { subject } = await work(async function* ({ body }) {
		yield "begun";
		throw body.failure
			? new Failure({ reason: "rate_limited", detail: "later", status: 429, retry_after: 7 })
			: new Error("no model");
	});
	const plain = await post(subject, {});
	expect(plain.status).toBe(502);
	expect(await plain.json()).toMatchObject({
		text: "begun",
		finish: null,
		error: { reason: "failed", detail: "no model" },
	});
	const failure = await post(subject, { failure: true });
	expect(failure.status).toBe(429);
	expect(await failure.json()).toMatchObject({
		error: { reason: "rate_limited", detail: "later", status: 429, retry_after: 7 },
	});
	expect(String(errors.at(-2))).toBe("Error: no model");
});

test.each<[string, Handler, RegExp]>([
	["an end that is no JSON", () => [{ type: "finish", data: 1n }], /BigInt/],
	["an info that is no JSON", () => [{ type: "info", data: { n: 1n } }], /BigInt/],
	["a type with a line break", () => [{ type: "a\nb" }], /cannot have the type/],
	["a type that is the gateway's", () => [{ type: "ringcast.gap" }], /cannot have the type/],
	["what is no chunk", () => [7 as never], /cannot have the type/],
	["nothing", async () => undefined as never, /undefined/],
	[
		"a failure that is no JSON",
		() => {
			throw new Failure({ reason: "x", status: 1n as never });
		},
		/BigInt/,
	],
	[
		"a page for a message",
		() => {
			throw new Error(`<html>${"x".repeat(9 << 20)}`);
		},
		/^<html>x{1018}$/,
	],
])("ends at once, and says why, with %s", async (_, handler, detail) => {
	const { subject } = await work(handler);
	expect(await ask(subject)).toMatchObject({
		finish: null,
		error: { reason: "failed", detail: expect.stringMatching(detail) },
	});
});

test("ends an answer although onerror throws, and goes on with others", async () => {
	const logged = vi.spyOn(console, "error").mockImplementation(() => {});
	onTestFinished(() => logged.mockRestore());
	const { subject } = await work(
		({ body }) => {
			if (body.no) {
				throw new Error("no model");
			}
			return "hi";
		},
		{
			onerror: () => {
				throw new Error("no log either");
			},
		},
	);
	expect(await ask(subject, { no: true })).toMatchObject({ error: { detail: "no model" } });
	expect(await ask(subject)).toMatchObject({ text: "hi", error: null });
	expect(String(logged.mock.calls[0]?.[1])).toBe("Error: no log either");
});

test("refuses", async () => {
	const { subject } = await work(() => "hi", {
		check: async ({ body }) => {
			if (body.no) {
				throw new Refusal(402, { reason: "quota" });
			}
			if (body.broken) {
				throw new Error("database away");
			}
			if (body.big) {
				throw new Refusal(402, { limit: 1n });
			}
		},
	});
	const refused = await post(subject, { no: true });
	expect(refused.status).toBe(402);
	expect(await refused.json()).toEqual({ status: 402, reason: "quota" });
	expect((await post(subject, { broken: true })).status).toBe(500);
	expect(String(errors.at(-1))).toBe("Error: database away");
	expect((await post(subject, { big: true })).status).toBe(500); // it cannot be said
	expect(await ask(subject)).toMatchObject({ text: "hi" });
	expect(() => new Refusal(200, {})).toThrow(RangeError);

	const plain = await nc.request(`ask.${subject}`, "{}");
	expect(plain.json()).toMatchObject({ status: 400, reason: "invalid" });
});

test("shares the questions of a group, and refuses those beyond its bound", async () => {
	const counts = [0, 0];
	let release = () => {};
	const released = new Promise<void>((resolve) => {
		release = resolve;
	});
	const subject = "test.shared";
	for (const i of counts.keys()) {
		await work(
			async function* () {
				counts[i] = (counts[i] ?? 0) + 1;
				await released;
				yield "hi";
			},
			{ subject, concurrency: 3 },
		);
	}
	const ids: string[] = [];
	while (ids.length < 6) {
		const answer = await post(subject, {}, { Prefer: "respond-async" });
		const body = (await answer.json()) as { id: string; reason?: string };
		if (answer.status === 202) {
			ids.push(body.id);
		} else {
			expect([answer.status, body.reason]).toEqual([503, "busy"]);
		}
	}
	await expect.poll(() => counts).toEqual([3, 3]);
	expect((await post(subject, {})).status).toBe(503);
	release();
	for (const id of ids) {
		expect(await rest(id)).toMatchObject({ text: "hi", error: null });
	}
});

const STOPPED = { reason: "stopped", detail: "the answer was stopped" };

test("stops a handler that listens, one with a last word of its own, one that goes on and one that is stuck", async () => {
	const ended: string[] = [];
	const { subject } = await work(async function* ({ body }, { signal }) {
		try {
			yield "begun";
			if (body.how === "listens") {
				await once(signal, "abort");
				return;
			}
			if (body.how === "finishes") {
				await once(signal, "abort");
				yield { type: "finish", data: { reason: "stopped" } };
			}
			if (body.how === "is stuck") {
				await new Promise(() => {});
			}
			for (;;) {
				await delay(5);
				yield ".";
			}
		} finally {
			ended.push(body.how);
		}
	});
	for (const how of ["listens", "finishes", "goes on", "is stuck"]) {
		const id = await begin(subject, { how });
		await expect
			.poll(async () => (await ringcast.read(`events.answers.${id}`)).length)
			.toBeGreaterThan(1);
		await stop(id);
		const whole = await rest(id);
		if (how === "finishes") {
			expect(whole).toMatchObject({ finish: { reason: "stopped" }, error: null });
		} else {
			expect(whole).toMatchObject({ finish: null, error: STOPPED });
		}
	}
	await expect.poll(() => ended).toEqual(["listens", "finishes", "goes on"]);
});

test("goes on where its connection was, with nothing lost, doubled or out of order", async () => {
	const proxy = await TcpProxy.to(natsUrl.replace("nats:", "http:"));
	onTestFinished(() => proxy.close());
	const own = await connect({
		servers: new URL(proxy.url).host,
		reconnectTimeWait: 20,
		reconnectJitter: 0,
		maxReconnectAttempts: -1,
	});
	onTestFinished(() => own.close());
	let halfway = () => {};
	const isHalfway = new Promise<void>((resolve) => {
		halfway = resolve;
	});
	const pieces = Array.from({ length: 2_000 }, (_, i) => `${i} `);
	const { subject } = await work(
		async function* () {
			for (const [i, piece] of pieces.entries()) {
				if (i === pieces.length / 2) {
					halfway();
				}
				yield piece;
			}
		},
		{ separate: true, buffer: 1_000 },
		own,
	);
	const id = await begin(subject);
	await isHalfway;
	proxy.cut();
	proxy.restore();
	const whole = await rest(id);
	expect(whole.text).toBe(pieces.join(""));
	expect(whole.events.length).toBe(pieces.length + 1);
});

test.each([true, false])("says nothing after an end of the gateway's, begun: %s", async (begun) => {
	let signal: AbortSignal | undefined;
	let goOn = () => {};
	const { subject } = await work(async function* (_, context) {
		signal = context.signal;
		if (begun) {
			yield "begun";
		}
		await new Promise<void>((resolve) => {
			goOn = resolve;
		});
		yield "after the end";
	});
	const id = await begin(subject);
	const answers = `events.answers.${id}`;
	await expect.poll(async () => (await ringcast.read(answers)).length).toBe(begun ? 2 : 1);
	const last = headers();
	last.set("Ringcast-Event", "error");
	last.set("Ringcast-End", "true");
	await nc.request(answers, "", { headers: last, timeout: 20_000 });
	goOn();
	await expect.poll(() => signal?.reason).toMatchObject({ code: "ended" });
	expect((await ringcast.read(answers)).map(({ type }) => type)).toEqual(
		begun ? ["ask", "add", "error"] : ["ask", "error"],
	);
});

test("gives up an answer while NATS is away for longer than its patience", async () => {
	const proxy = await TcpProxy.to(natsUrl.replace("nats:", "http:"));
	onTestFinished(() => proxy.close());
	const own = await connect({
		servers: new URL(proxy.url).host,
		reconnectTimeWait: 20,
		maxReconnectAttempts: -1,
	});
	onTestFinished(() => own.close());
	let yielded = 0;
	let isGivenUp = (_: unknown) => {};
	const givenUp = new Promise<unknown>((resolve) => {
		isGivenUp = resolve;
	});
	let cut = () => {};
	const isCut = new Promise<void>((resolve) => {
		cut = resolve;
	});
	const { subject } = await work(
		async function* (_, { signal }) {
			signal.addEventListener("abort", () => isGivenUp(signal.reason));
			yield "begun";
			await isCut;
			for (; ; yielded++) {
				yield "x".repeat(100);
			}
		},
		{ patienceMs: 300, buffer: 4_000 },
		own,
	);
	const id = await begin(subject);
	await expect.poll(async () => (await ringcast.read(`events.answers.${id}`)).length).toBe(2);
	proxy.cut();
	cut();
	expect(await givenUp).toMatchObject({ code: "unavailable" });
	expect(yielded).toBeLessThan(2 * 40);
	await expect.poll(() => errors.at(-1)).toMatchObject({ code: "unavailable" });
});

test("stops while NATS is away, and says that a last word could not be stored", async () => {
	const proxy = await TcpProxy.to(natsUrl.replace("nats:", "http:"));
	onTestFinished(() => proxy.close());
	const own = await connect({ servers: new URL(proxy.url).host, maxReconnectAttempts: -1 });
	onTestFinished(() => own.close());
	const told: unknown[] = [];
	const worker = await work(
		async function* (_, { signal }) {
			yield "begun";
			await once(signal, "abort");
		},
		{ graceMs: 0, patienceMs: 300, onerror: (error) => told.push(error) },
		own,
	);
	const id = await begin(worker.subject);
	await expect.poll(async () => (await ringcast.read(`events.answers.${id}`)).length).toBe(2);
	proxy.cut();
	await worker.stop();
	expect(told).toMatchObject([{ code: "unavailable" }]);
});

test("an event that is too large fails the answer, and is told", async () => {
	const { subject } = await work(function* () {
		yield "begun";
		yield { type: "info", data: "x".repeat(9 << 20) };
		yield "never said";
	});
	const whole = await ask(subject);
	expect(whole).toMatchObject({ text: "begun", finish: null, error: { reason: "failed" } });
});

test("ends the answers that are not done within its grace", async () => {
	let goOn = () => {};
	const inTime = await work(async function* () {
		yield "one ";
		await new Promise<void>((resolve) => {
			goOn = resolve;
		});
		yield "two";
	});
	const id = await begin(inTime.subject);
	await expect.poll(() => inTime.running).toBe(1);
	const stopped = inTime.stop();
	await expect.poll(async () => (await post(inTime.subject, {})).status).toBe(503);
	goOn();
	await stopped;
	expect(await rest(id)).toMatchObject({ text: "one two", error: null });

	const late = await work(
		async function* (_, { signal }) {
			yield "one";
			await once(signal, "abort");
		},
		{ graceMs: 0 },
	);
	const lateId = await begin(late.subject);
	await late.stop();
	await late.closed;
	expect(await rest(lateId)).toMatchObject({
		text: "one",
		error: { reason: "shutdown", detail: "the worker shuts down" },
	});
});

test("ends with its connection", async () => {
	const own = await connect({ servers: natsUrl });
	let signal: AbortSignal | undefined;
	const worker = await work(
		async function* (_, context) {
			signal = context.signal;
			await once(context.signal, "abort");
			yield "more";
		},
		{},
		own,
	);
	await begin(worker.subject);
	await own.close();
	await worker.closed;
	expect(signal?.reason).toMatchObject({ code: "unavailable" });
	expect(errors.at(-1)).toBe(signal?.reason);
});

test("200 answers at once of 100 pieces each: nothing mixed up, nothing lost", async () => {
	const pieces = (name: number) => Array.from({ length: 100 }, (_, i) => `${name}.${i} `);
	const { subject } = await work(
		async function* ({ body }) {
			for (const piece of pieces(body.name)) {
				yield piece;
				await new Promise(setImmediate);
			}
		},
		{ concurrency: 200 },
	);
	const names = Array.from({ length: 200 }, (_, i) => i);
	const texts = await Promise.all(names.map(async (name) => (await ask(subject, { name })).text));
	expect(texts).toEqual(names.map((name) => pieces(name).join("")));
});

test("settings that make no sense are refused", async () => {
	await expect(serve(nc, { subject: "" }, () => "")).rejects.toThrow(TypeError);
	await expect(serve(nc, { subject: "x", concurrency: 0 }, () => "")).rejects.toThrow(RangeError);
});
