import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
	type Answer,
	type AnswerEvent,
	AskError,
	type AskOptions,
	ask,
	resumeAnswer,
} from "../src/ask.ts";
import type { StreamStorage } from "../src/index.ts";
import { after, answers, begin, blocks, cut, ID, type Part, problem } from "./answers.ts";

const FINISH: Part = ["finish", '{"tokens":3}'];
const WHOLE = blocks([["add", "Hel"], ["add", "lo"], FINISH]);

/** Asks, retrying at once. */
function open(url: string, options: AskOptions = {}): Answer {
	const answer = ask(url, { q: 1 }, { retry: { baseMs: 1 }, ...options });
	onTestFinished(() => answer.close());
	return answer;
}

async function failure(of: Promise<unknown>): Promise<AskError> {
	const error = await of.then(
		() => undefined,
		(error) => error,
	);
	expect(error).toBeInstanceOf(AskError);
	return error;
}

class Storage implements StreamStorage {
	readonly items = new Map<string, string>();
	writes = 0;
	getItem(key: string): string | null {
		return this.items.get(key) ?? null;
	}
	setItem(key: string, value: string): void {
		this.writes++;
		this.items.set(key, value);
	}
}

describe("an answer", () => {
	test("is asked for with a key, and comes as events, as a text and as a whole", async () => {
		const { server, url } = await answers((response) => begin(response, WHOLE.join("")));
		const told: string[] = [];
		const answer = open(url, { ontext: (text, added) => told.push(`${text}|${added}`) });
		const events: AnswerEvent[] = [];
		for await (const event of answer) {
			events.push(event);
		}
		expect(events).toEqual([
			{
				type: "ask",
				data: `{"id":"${ID}","subject":"chat"}`,
				json: { id: ID, subject: "chat" },
				id: "1-x",
			},
			{ type: "add", data: "Hel", json: undefined, id: "2-x" },
			{ type: "add", data: "lo", json: undefined, id: "3-x" },
			{ type: "finish", data: '{"tokens":3}', json: { tokens: 3 }, id: "4-x" },
		]);
		expect(told).toEqual(["Hel|Hel", "Hello|lo"]);
		expect(await answer.done).toEqual({ id: ID, text: "Hello", finish: { tokens: 3 } });
		const [request] = server.requests;
		expect(request).toMatchObject({
			method: "POST",
			url: "/v1/ask/chat?format=json",
			text: '{"q":1}',
		});
		expect(request?.headers).toMatchObject({ "content-type": "application/json" });
		expect(request?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
		expect(request?.headers.accept).toMatch(/^text\/event-stream,/);
	});

	test("is asked for on a page without TLS too, with a key of its own each time", async () => {
		const { getRandomValues } = crypto;
		vi.stubGlobal("crypto", { getRandomValues: getRandomValues.bind(crypto) });
		onTestFinished(() => {
			vi.unstubAllGlobals();
		});
		const { server, url } = await answers((response) => begin(response, WHOLE.join("")));
		await Promise.all([open(url).done, open(url).done]);
		const keys = server.requests.map(({ headers }) => headers["idempotency-key"]);
		expect(new Set(keys).size).toBe(2);
	});

	test("has the worker's text, whatever is in it", async () => {
		const parts = ["\r\n", "    indented\r", "\n\n", " ", '{"a":1}', "é✓🎉", "\u2028 \0"];
		const whole = blocks([...parts.map((p): Part => ["add", p]), ["finish", ""]]);
		const { url } = await answers((response) => begin(response, whole.join("")));
		expect(await open(url).done).toEqual({ id: ID, text: parts.join(""), finish: undefined });
	});

	test.each([
		["null", null],
		["0", 0],
		["no JSON", "no JSON"],
	])("has what its end says: %s", async (data, finish) => {
		const { url } = await answers((response) =>
			begin(response, blocks([["finish", data]]).join("")),
		);
		expect(await open(url).done).toEqual({ id: ID, text: "", finish });
	});

	test("that ends with an error event is not whole, and says why", async () => {
		const said = { reason: "worker_gone", detail: "the worker is gone", status: 502 };
		const whole = blocks([
			["add", "Hel"],
			["error", JSON.stringify(said)],
		]);
		const { url } = await answers((response) => begin(response, whole.join("")));
		const answer = open(url);
		const types: string[] = [];
		const loop = async () => {
			for await (const { type } of answer) {
				types.push(type);
			}
		};
		const error = await failure(loop());
		expect(error).toMatchObject({
			...said,
			data: said,
			message: "worker_gone: the worker is gone",
		});
		expect(await failure(answer.done)).toBe(error);
		expect(types).toEqual(["ask", "add", "error"]);
		expect(answer.text).toBe("Hel");
	});

	test("cut anywhere goes on after the last event, by its id", async () => {
		for (const n of [1, 2, 3]) {
			const { server, url } = await answers((response, request, i) => {
				if (i === 0) {
					begin(response, `${WHOLE.slice(0, n).join("")}${WHOLE[n]?.slice(0, -1)}`);
					cut(response);
				} else {
					begin(response, after(request, WHOLE));
				}
			});
			expect((await open(url).done).text).toBe("Hello");
			expect(server.requests[1]).toMatchObject({
				method: "GET",
				url: `/v1/ask/${ID}?format=json`,
				text: "",
			});
			expect(server.requests[1]?.headers["last-event-id"]).toBe(`${n}-x`);
			expect(server.requests[1]?.headers["idempotency-key"]).toBeUndefined();
		}
	});

	test("cut before its first event, but with an id, is asked for by that", async () => {
		const { server, url } = await answers((response, request, n) => {
			begin(response, n === 0 ? "" : after(request, WHOLE));
			if (n === 0) {
				cut(response);
			}
		});
		expect((await open(url).done).text).toBe("Hello");
		expect(server.requests[1]).toMatchObject({ method: "GET", url: `/v1/ask/${ID}?format=json` });
		expect(server.requests[1]?.headers["last-event-id"]).toBeUndefined();
	});

	test("cut before it has an id is asked for again under the same key", async () => {
		const { server, url } = await answers((response, _, n) => {
			if (n === 0) {
				response.destroy();
			} else {
				begin(response, WHOLE.join(""));
			}
		});
		expect((await open(url).done).text).toBe("Hello");
		const [first, second] = server.requests;
		expect(second).toMatchObject({ method: "POST", text: '{"q":1}' });
		expect(second?.headers["idempotency-key"]).toBe(first?.headers["idempotency-key"]);
	});

	test("with a gap begins anew from its first event, and that is told", async () => {
		const gap =
			'event: ringcast.gap\ndata: {"reason":"reset","requested":"2-x","oldest":"1-x"}\nid: 9-x\n\n';
		const { server, url } = await answers((response, request, n) => {
			if (n === 0) {
				begin(response, WHOLE.slice(0, 2).join(""));
				cut(response);
			} else {
				begin(response, n === 1 ? gap : after(request, WHOLE));
			}
		});
		const texts: string[] = [];
		const gaps: string[] = [];
		const answer = open(url, {
			ontext: (text) => texts.push(text),
			ongap: ({ reason }) => gaps.push(reason),
		});
		const types: string[] = [];
		for await (const { type } of answer) {
			types.push(type);
		}
		expect(types).toEqual(["ask", "add", "ringcast.gap", "ask", "add", "add", "finish"]);
		expect(texts).toEqual(["Hel", "", "Hel", "Hello"]);
		expect(gaps).toEqual(["reset"]);
		expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([
			undefined,
			"2-x",
			undefined,
		]);
	});

	test("with a gap again is given up", async () => {
		const gap = 'event: ringcast.gap\ndata: {"reason":"expired"}\nid: 9-x\n\n';
		const { server, url } = await answers((response) => begin(response, gap));
		expect(await failure(open(url).done)).toMatchObject({ reason: "gap" });
		expect(server.requests).toHaveLength(2);
	});

	test("that has ended while nobody looked is whole at a 204", async () => {
		const { url } = await answers((response, _, n) => {
			if (n === 0) {
				begin(
					response,
					blocks([
						["add", "Hello"],
						["done", "x"],
					]).join(""),
				);
				response.end();
			} else {
				response.writeHead(204).end();
			}
		});
		expect(await open(url).done).toEqual({ id: ID, text: "Hello", finish: undefined });
	});

	test("is in another place where one says so", async () => {
		const { server, url } = await answers((response, request, n) => {
			begin(response, n === 0 ? `${WHOLE[0]}` : after(request, WHOLE));
			if (n === 0) {
				cut(response);
			}
		});
		await open(`${url}?tenant=a/b`).done;
		await open(url, { answers: new URL("/elsewhere/", url) }).done;
		expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
			"POST /v1/ask/chat?tenant=a/b&format=json",
			`GET /v1/ask/${ID}?tenant=a/b&format=json`,
			"POST /v1/ask/chat?format=json",
		]);
	});
});

describe("a refusal", () => {
	test.each([503, 504])("of the gateway's, with a reason, is told at once: %d", async (status) => {
		const { server, url } = await answers((response) =>
			problem(response, status, { reason: "no_worker" }),
		);
		expect(await failure(open(url).done)).toMatchObject({
			reason: "no_worker",
			detail: "why",
			status,
		});
		expect(server.requests).toHaveLength(1);
	});

	test("of the worker's is passed on, whatever its status", async () => {
		const { server, url } = await answers((response) => {
			response.writeHead(503, { "Content-Type": "application/json" });
			response.end('{"status":503,"message":"busy","queue":7}');
		});
		expect(await failure(open(url).done)).toMatchObject({
			reason: "refused",
			detail: "busy",
			status: 503,
			data: { queue: 7 },
		});
		expect(server.requests).toHaveLength(1);
	});

	test("of a proxy's is none yet, JSON or not, and its 401 is one", async () => {
		const { url } = await answers((response, { headers }, n) => {
			const status = [503, 502, 401][n];
			if (status !== undefined) {
				response.writeHead(status, { "Content-Type": "application/json; charset=utf-8" });
				response.end('{"message":"no healthy upstream"}');
			} else {
				expect(headers.authorization).toBe("new");
				begin(response, WHOLE.join(""));
			}
		});
		let token = "old";
		const onunauthorized = () => {
			token = "new";
		};
		const headers = () => ({ Authorization: token });
		expect((await open(url, { headers, onunauthorized }).done).text).toBe("Hello");
	});

	test("of the gateway's that says nothing of the question is none yet", async () => {
		const { url } = await answers((response, _, n) =>
			n < 2 ? problem(response, 503) : begin(response, WHOLE.join("")),
		);
		expect((await open(url).done).text).toBe("Hello");
	});

	test("401: once more with fresh headers, then it is the reason", async () => {
		let token = "old";
		const { server, url } = await answers((response, { headers }) => {
			if (headers.authorization === "Bearer new") {
				begin(response, WHOLE.join(""));
			} else {
				problem(response, 401);
			}
		});
		const headers = async () => ({ Authorization: `Bearer ${token}` });
		const onunauthorized = () => {
			token = "new";
		};
		expect((await open(url, { headers, onunauthorized }).done).text).toBe("Hello");
		expect(server.requests).toHaveLength(2);
		token = "old";
		expect(await failure(open(url, { headers }).done)).toMatchObject({
			reason: "unauthorized",
			status: 401,
		});
	});

	test("is no JSON, or no answer at all: the code of the StreamError", async () => {
		const { url } = await answers((response) => response.writeHead(404).end("no such page"));
		expect(await failure(open(url).done)).toMatchObject({ reason: "status", status: 404 });
		const nobody = open("http://127.0.0.1:1/v1/ask/chat", { retry: { maxAttempts: 1 } });
		expect(await failure(nobody.done)).toMatchObject({ reason: "network" });
	});
});

/** Half of an answer; the rest comes when it is stopped. */
function stoppable() {
	let stopped = () => {};
	return answers((response, request) => {
		if (request.method === "DELETE") {
			response.writeHead(202).end();
			stopped();
		} else {
			begin(response, after(request, WHOLE.slice(0, 2)));
			stopped = () => response.write(WHOLE.slice(2).join(""));
		}
	});
}

describe("stop and close", () => {
	test("stop deletes the answer, and goes on up to the last word", async () => {
		const { server, url } = await stoppable();
		const answer = open(url, { headers: { Authorization: "Bearer t" } });
		await answer.stop(); // before it has an id
		expect((await answer.done).text).toBe("Hello");
		expect(server.requests[1]).toMatchObject({ method: "DELETE", url: `/v1/ask/${ID}` });
		expect(server.requests[1]?.headers.authorization).toBe("Bearer t");
		await answer.stop(); // there is nothing to stop any more
		expect(server.requests).toHaveLength(2);
	});

	test.each([
		["stop, and leave", true],
		["leave, and stop", false],
	])("%s: the worker is told all the same", async (_, stopsFirst) => {
		const { server, url } = await answers((response, request) => {
			if (request.method === "DELETE") {
				response.writeHead(202).end();
			} else {
				begin(response, WHOLE.slice(0, 2).join(""));
			}
		});
		const answer = open(url);
		await expect.poll(() => answer.text).toBe("Hel");
		const stopping = stopsFirst && answer.stop();
		answer.close();
		await (stopping || answer.stop());
		expect(server.requests.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
	});

	test("a stop that is refused says so, and the answer goes on", async () => {
		let goOn = () => {};
		const { url } = await answers((response, request) => {
			if (request.method === "DELETE") {
				problem(response, 403);
			} else {
				begin(response, WHOLE.slice(0, 2).join(""));
				goOn = () => response.write(WHOLE.slice(2).join(""));
			}
		});
		const answer = open(url);
		expect(await failure(answer.stop())).toMatchObject({ reason: "refused", status: 403 });
		goOn();
		expect((await answer.done).text).toBe("Hello");
	});

	test.each(["close", "signal", "loop"])("%s leaves the answer, and stops nothing", async (how) => {
		const { server, url } = await answers((response) =>
			begin(response, WHOLE.slice(0, 2).join("")),
		);
		const leave = new AbortController();
		const answer = open(url, { signal: leave.signal });
		const loop = async () => {
			for await (const { type } of answer) {
				if (type === "add" && how === "loop") {
					return "left";
				}
				if (type === "add") {
					how === "close" ? answer.close() : leave.abort();
				}
			}
			return "ended";
		};
		if (how === "loop") {
			expect(await loop()).toBe("left");
		} else {
			expect(await failure(loop())).toMatchObject({ reason: "closed" });
		}
		expect(await failure(answer.done)).toMatchObject({ reason: "closed" });
		expect(answer.text).toBe("Hel");
		expect(server.requests).toHaveLength(1);
	});
});

describe("the next visit", () => {
	/** Follows an answer up to an event and leaves, as a reload does. */
	async function visit(answer: Answer | null, upTo: string): Promise<void> {
		for await (const { id } of answer as Answer) {
			if (id === upTo) {
				return;
			}
		}
	}

	test("goes on after what was handed over, and the text is whole", async () => {
		const { server, url } = await answers((response, request) =>
			begin(response, after(request, WHOLE)),
		);
		for (const upTo of ["1-x", "2-x", "3-x"]) {
			const storage = new Storage();
			await visit(open(url, { storage }), upTo);
			const answer = await resumeAnswer(url, { storage });
			expect(answer?.id).toBe(ID);
			const events: string[] = [];
			for await (const { type } of answer as Answer) {
				events.push(type);
			}
			expect(await answer?.done).toEqual({ id: ID, text: "Hello", finish: { tokens: 3 } });
			expect(events).toEqual(["ask", "add", "add", "finish"].slice(Number.parseInt(upTo, 10)));
			expect(await resumeAnswer(url, { storage })).toBeNull();
		}
		expect(server.requests.filter(({ method }) => method === "POST")).toHaveLength(3);
	});

	test("stops the answer", async () => {
		const { server, url } = await stoppable();
		const storage = new Storage();
		await visit(open(url, { storage }), "2-x");
		const answer = (await resumeAnswer(url, { storage })) as Answer;
		await answer.stop();
		expect((await answer.done).text).toBe("Hello");
		expect(server.requests.map(({ method }) => method)).toEqual(["POST", "GET", "DELETE"]);
	});

	test("gets the last event again where a loop was left before it", async () => {
		const { url } = await answers((response, request) => begin(response, after(request, WHOLE)));
		const storage = new Storage();
		const answer = open(url, { storage });
		await visit(answer, "3-x"); // the last one has come with it
		await failure(answer.done);
		const resumed = await resumeAnswer(url, { storage });
		expect(await resumed?.done).toEqual({ id: ID, text: "Hello", finish: { tokens: 3 } });
	});

	test("gets an event again that a loop had not come to, where the page was left", async () => {
		const whole = blocks([["add", "Hel"], ["info", "1"], ["add", "lo"], FINISH]);
		const { url } = await answers((response, request) => begin(response, after(request, whole)));
		const storage = new Storage();
		const texts: string[] = [];
		const answer = open(url, { storage, ontext: (text) => texts.push(text) });
		const loop = answer[Symbol.asyncIterator]();
		for (const type of ["ask", "add"]) {
			expect((await loop.next()).value).toMatchObject({ type });
		}
		await expect.poll(() => storage.getItem(`ringcast:answer:${url}`)).toContain('"2-x"');
		answer.close();
		const resumed = (await resumeAnswer(url, { storage })) as Answer;
		expect(resumed.text).toBe("Hel");
		const types: string[] = [];
		for await (const { type } of resumed) {
			types.push(type);
		}
		expect(types).toEqual(["info", "add", "finish"]);
		expect(resumed.text).toBe("Hello");
	});

	test("has again what came after the last write, where the page ended without notice", async () => {
		const { url } = await answers((response, request) => begin(response, after(request, WHOLE)));
		const written: string[] = [];
		const storage = {
			getItem: () => null,
			setItem: (_: string, value: string) => written.push(value),
		};
		await open(url, { storage }).done;
		expect(written.pop()).toBe(""); // the end
		expect(written.length).toBeGreaterThan(1);
		for (const left of [...written, JSON.stringify({ id: ID, last: "2-x", text: "Hel" })]) {
			const crashed = new Storage();
			crashed.setItem("k", left);
			const answer = await resumeAnswer(url, { storage: crashed, storageKey: "k" });
			expect((await answer?.done)?.text).toBe("Hello");
		}
	});

	test("goes on with the newest question, not with one that was left for it", async () => {
		const { url } = await answers((response, { text }, n) => {
			begin(response, n === 0 ? `${WHOLE[0]}${WHOLE[1]}` : WHOLE.join(""));
			expect(text).toBe(n === 0 ? '{"q":1}' : '{"q":2}');
		});
		const storage = new Storage();
		const first = open(url, { storage });
		await expect.poll(() => first.text).toBe("Hel");
		first.close();
		const second = ask(url, { q: 2 }, { storage });
		await failure(first.done);
		second.close();
		expect((await (await resumeAnswer(url, { storage }))?.done)?.text).toBe("Hello");
	});

	test("which comes back too late leaves the newest question alone", async () => {
		const { url } = await answers(() => {});
		const storage = new Storage();
		const key = `ringcast:answer:${url}`;
		storage.setItem(key, JSON.stringify({ id: ID, last: "2-x", text: "Hel" }));
		const late = resumeAnswer(url, { storage });
		open(url, { storage });
		(await late)?.close();
		expect(JSON.parse(storage.getItem(key) as string)).toMatchObject({ body: '{"q":1}' });
	});

	test("has nothing of an answer before, where the question does not fit", async () => {
		const url = "http://127.0.0.1:1/v1/ask/chat";
		const storage = new Storage();
		storage.setItem("k", JSON.stringify({ id: ID, last: "2-x", text: "Hel" }));
		const small: StreamStorage = {
			getItem: (key) => storage.getItem(key),
			setItem: async (key, value) => {
				if (value.length > 100) {
					throw new Error("full");
				}
				storage.setItem(key, value);
			},
		};
		const options = { storage: small, storageKey: "k" };
		const answer = ask(url, "x".repeat(100), options);
		await expect.poll(() => storage.getItem("k")).toBe("");
		answer.close();
		expect(await resumeAnswer(url, options)).toBeNull();
	});

	test("knows nothing of a question whose signal was aborted before", async () => {
		const storage = new Storage();
		const url = "http://127.0.0.1:1/v1/ask/chat";
		const answer = open(url, { storage, signal: AbortSignal.abort() });
		expect(await failure(answer.done)).toMatchObject({ reason: "closed" });
		expect(await resumeAnswer(url, { storage })).toBeNull();
	});

	test("asks the same question under its key where it had no id yet", async () => {
		const { server, url } = await answers((response, _, n) => {
			if (n > 0) {
				begin(response, WHOLE.join(""));
			}
		});
		const storage = new Storage();
		const first = ask(url, { q: "long" }, { storage });
		await expect.poll(() => server.requests.length).toBe(1);
		first.close();
		const answer = await resumeAnswer(url, { storage });
		expect((await answer?.done)?.text).toBe("Hello");
		const [a, b] = server.requests;
		expect(b?.text).toBe('{"q":"long"}');
		expect(b?.headers["idempotency-key"]).toBe(a?.headers["idempotency-key"]);
	});

	test("has nothing to go on with after an end, an error or a refusal", async () => {
		const { url } = await answers((response, _, n) => {
			if (n === 0) {
				begin(response, blocks([["error", "{}"]]).join(""));
			} else if (n === 1) {
				problem(response, 400);
			} else {
				problem(response, 404);
			}
		});
		const storage = new Storage();
		for (let n = 0; n < 2; n++) {
			await failure(open(url, { storage }).done);
			expect(await resumeAnswer(url, { storage })).toBeNull();
		}
		storage.setItem(`ringcast:answer:${url}`, JSON.stringify({ id: ID, last: "3-x", text: "a" }));
		expect(
			await failure((await resumeAnswer(url, { storage }))?.done as Promise<unknown>),
		).toMatchObject({ status: 404 });
		expect(await resumeAnswer(url, { storage })).toBeNull();
	});

	test("has it still where the gateway could not be reached", async () => {
		const storage = new Storage();
		const url = "http://127.0.0.1:1/v1/ask/chat";
		storage.setItem("mine", JSON.stringify({ id: ID, last: "3-x", text: "a" }));
		const options = { storage, storageKey: "mine", retry: { maxAttempts: 1 } };
		await failure((await resumeAnswer(url, options))?.done as Promise<unknown>);
		expect((await resumeAnswer(url, options))?.text).toBe("a");
	});

	test.each(["", "{", "7", "null", '{"id":1}', '{"id":"a","last":"b"}'])(
		"what was kept is not ours: %j",
		async (kept) => {
			const storage = new Storage();
			storage.setItem("k", kept);
			expect(await resumeAnswer("/v1/ask/chat", { storage, storageKey: "k" })).toBeNull();
		},
	);

	test("costs a write a second at most, and an answer goes on without storage", async () => {
		const many = blocks([...Array.from({ length: 500 }, (): Part => ["add", "x"]), FINISH]);
		const { url } = await answers((response) => begin(response, many.join("")));
		const storage = new Storage();
		expect((await open(url, { storage }).done).text).toHaveLength(500);
		expect(storage.writes).toBeLessThan(10);

		const errors: string[] = [];
		const full = {
			getItem: () => null,
			setItem: () => {
				throw new Error("full");
			},
		};
		const answer = open(url, { storage: full, onerror: ({ code }) => errors.push(code) });
		expect((await answer.done).text).toHaveLength(500);
		expect(new Set(errors)).toEqual(new Set(["storage"]));
	});
});

test("what a callback throws is reported, and costs nothing", async () => {
	const { url } = await answers((response) => begin(response, WHOLE.join("")));
	const errors: string[] = [];
	const texts: string[] = [];
	const answer = open(url, {
		onerror: ({ code }) => errors.push(code),
		onevent: () => {
			throw new Error("mine");
		},
		ontext: (text) => texts.push(text),
	});
	expect((await answer.done).text).toBe("Hello");
	expect(errors).toEqual(Array(4).fill("listener"));
	expect(texts).toEqual(["Hel", "Hello"]);
});
