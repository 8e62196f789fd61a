import { expect, test, vi } from "vitest";
import { type Answer, type AskError, type AskOptions, ask, resumeAnswer } from "../src/ask.ts";
import { block, type Part } from "./answers.ts";
import { settle, usePage } from "./page.ts";
import { generator, seeds } from "./random.ts";

const STEPS = 150;
const WHERE = "http://server/v1/ask/chat";

/** A request that its tab has not let go of. */
interface Connection {
	readonly tab: number;
	readonly answer: Recorded;
	readonly body: ReadableStreamDefaultController<Uint8Array>;
}

/** An answer as a gateway has it. */
interface Recorded {
	readonly id: string;
	readonly parts: Part[];
	stopped: boolean;
}

/** A gateway and its worker, which answer well or badly, as it is drawn. */
class Gateway {
	readonly byKey = new Map<string, Recorded>();
	readonly connections = new Set<Connection>();
	token = 0;
	wellBehaved = false;
	/** One is the most that an answer survives. */
	hadGap = false;

	constructor(readonly random: () => number) {}

	get answers(): Recorded[] {
		return [...this.byKey.values()];
	}

	say(answer: Recorded, part: Part): void {
		answer.parts.push(part);
		for (const connection of this.connections) {
			if (connection.answer === answer) {
				this.#send(connection.body, block(part, answer.parts.length));
				if (isLast(part)) {
					connection.body.close();
					this.connections.delete(connection);
				}
			}
		}
	}

	/** Ends all streams, in the middle of an event or behind one, cleanly or not. */
	cut(): void {
		for (const { answer, body } of this.connections) {
			if (this.random() < 0.5) {
				const begun = block(["add", "not whole"], answer.parts.length + 1);
				body.enqueue(new TextEncoder().encode(begun.slice(0, -1)));
			}
			this.random() < 0.5 ? body.close() : body.error(new TypeError("cut"));
		}
		this.connections.clear();
	}

	/** Answers the requests of a tab. */
	of(tab: number): typeof fetch {
		return async (url, init = {}) => {
			const signal = init.signal as AbortSignal;
			const response = this.#answer(tab, String(url), init);
			if (this.random() < 0.5) {
				await new Promise((resolve) => setTimeout(resolve, this.random() * 2_000));
			}
			signal.throwIfAborted();
			return response();
		};
	}

	/** Takes a request, and says with what it is answered once that arrives. */
	#answer(tab: number, url: string, init: RequestInit): () => Response {
		const headers = init.headers as Headers;
		const bad = this.wellBehaved ? 1 : this.random();
		const json = { "Content-Type": "application/json" };
		if (bad < 0.05 || navigator.onLine === false) {
			return () => {
				throw new TypeError("no network");
			};
		}
		if (bad < 0.1) {
			const floor = { ...json, "Retry-After": `${Math.floor(this.random() * 20)}` };
			return () => new Response('{"message":"no upstream"}', { status: 503, headers: floor });
		}
		if (headers.get("Authorization") !== `Bearer ${this.token}`) {
			return () => new Response('{"status":401}', { status: 401 });
		}
		const answer = this.#find(url, init.method, headers);
		if (bad < 0.2) {
			return () => {
				throw new TypeError("cut before the headers");
			};
		}
		if (init.method === "DELETE") {
			answer.stopped ||= !answer.parts.some(isLast);
			return () => new Response(null, { status: 202 });
		}
		const after = Number.parseInt(headers.get("Last-Event-ID") ?? "0", 10);
		if (after > 0 && !this.hadGap && this.random() < 0.05) {
			this.hadGap = true;
			return () => this.#gap(tab, answer);
		}
		return () => this.#stream(tab, answer, after, init.signal as AbortSignal);
	}

	#find(url: string, method: string | undefined, headers: Headers): Recorded {
		if (method === "POST") {
			const key = headers.get("Idempotency-Key") as string;
			const id = `id${this.byKey.size}`;
			const asked: Part = ["ask", JSON.stringify({ id })];
			const answer = this.byKey.get(key) ?? { id, parts: [asked], stopped: false };
			this.byKey.set(key, answer);
			return answer;
		}
		const answer = this.answers.find(({ id }) => new RegExp(`/${id}(\\?|$)`).test(url));
		return answer as Recorded;
	}

	#gap(tab: number, answer: Recorded): Response {
		return this.#respond(
			tab,
			answer,
			'event: ringcast.gap\ndata: {"reason":"expired"}\nid: 0-x\n\n',
		);
	}

	#stream(tab: number, answer: Recorded, after: number, signal: AbortSignal): Response {
		const { parts } = answer;
		const isOver = parts.some(isLast);
		if (isOver && after === parts.length) {
			return new Response(null, { status: 204 });
		}
		const blocks = parts.map((part, n) => block(part, n + 1)).slice(after);
		return this.#respond(tab, answer, blocks.join(""), isOver, signal);
	}

	#respond(tab: number, answer: Recorded, text: string, isOver = false, signal?: AbortSignal) {
		let connection: Connection | undefined;
		const body = new ReadableStream<Uint8Array>({
			start: (controller) => {
				connection = { tab, answer, body: controller };
				this.#send(controller, `retry: ${Math.floor(this.random() * 9)}\n:\n${text}`);
				if (isOver) {
					controller.close();
				} else {
					this.connections.add(connection);
				}
			},
			cancel: () => void this.connections.delete(connection as Connection),
		});
		signal?.addEventListener("abort", () => this.connections.delete(connection as Connection));
		const type = { "Content-Type": "text/event-stream" };
		const named = this.random() < 0.5 ? { "Ringcast-Ask-Id": answer.id } : {};
		return new Response(body, { headers: { ...type, ...named } });
	}

	/** In pieces of any length, through characters and line ends. */
	#send(body: ReadableStreamDefaultController<Uint8Array>, text: string): void {
		let bytes = new TextEncoder().encode(text);
		while (bytes.length > 0) {
			const length = 1 + Math.floor(this.random() * 60);
			body.enqueue(bytes.slice(0, length));
			bytes = bytes.slice(length);
		}
	}
}

function isLast([type]: Part): boolean {
	return type === "finish" || type === "error";
}

/** What a tab keeps over its visits. */
class Kept {
	#items = new Map<string, string>();
	getItem(key: string): string | null {
		return this.#items.get(key) ?? null;
	}
	setItem(key: string, value: string): void {
		this.#items.set(key, value);
	}
	/** What is left after the page has gone, whatever that still does. */
	leave(): Kept {
		const left = new Kept();
		left.#items = new Map(this.#items);
		return left;
	}
}

/** A page on one answer, with a loop that takes its time; over and over again. */
class Tab {
	/** The number of the last event that callbacks had, and of the last that the loop had. */
	had = 0;
	taken = 0;
	/** The greatest that was taken: after a gap it is less. */
	most = 0;
	answer: Answer | undefined;
	end: { readonly text: string } | AskError | undefined;
	/** What went wrong. */
	readonly faults: string[] = [];

	#token = 0;
	#visit = 0;

	constructor(
		readonly n: number,
		readonly gateway: Gateway,
		public kept = new Kept(),
	) {}

	ask(): void {
		this.#follow(ask(WHERE, { q: this.n }, this.#options()), 0);
	}

	/** Comes back, where there is something to come back to. */
	async resume(hasCrashed: boolean): Promise<void> {
		const record = JSON.parse(this.kept.getItem(`ringcast:answer:${WHERE}`) || "null");
		const visit = ++this.#visit;
		this.had = Number.parseInt(record?.last || "0", 10);
		const answer = await resumeAnswer(WHERE, this.#options());
		if (visit !== this.#visit) {
			answer?.close();
		} else if (answer !== null) {
			this.#follow(answer, this.had);
			const hasBegunAnew = this.gateway.hadGap && this.had === 0;
			if (hasCrashed ? this.had > this.most : this.had !== this.taken && !hasBegunAnew) {
				this.faults.push(`resumed after ${this.had}, the loop had ${this.taken}`);
			}
			this.taken = this.had;
		} else if (this.end === undefined) {
			this.faults.push("there is nothing to resume");
		}
	}

	/** Leaves the page: as it should, by a reload, or in a crash. */
	leave(how: "close" | "reload" | "crash"): void {
		if (how === "reload") {
			page.target.dispatchEvent(new Event("pagehide"));
		}
		if (how !== "close") {
			this.kept = this.kept.leave();
		}
		this.#visit++;
		this.answer?.close();
		this.answer = undefined;
	}

	#follow(answer: Answer, after: number): void {
		const visit = this.#visit;
		this.answer = answer;
		this.end = undefined;
		const ended = (end: { readonly text: string } | AskError) => {
			if (visit === this.#visit) {
				this.end = end;
			}
		};
		answer.done.then(ended, ended);
		void this.#loop(answer, after);
	}

	async #loop(answer: Answer, after: number): Promise<void> {
		const { random } = this.gateway;
		let last = after;
		try {
			for await (const { type, id } of answer) {
				const n = Number.parseInt(id, 10);
				if (type !== "ringcast.gap" && n !== last + 1) {
					this.faults.push(`the loop got ${n} after ${last}`);
				}
				this.taken = last = n;
				this.most = Math.max(this.most, n);
				if (random() < 0.2) {
					await new Promise((resolve) => setTimeout(resolve, random() * 3_000));
				}
			}
		} catch {
			// the tab has it of done
		}
	}

	#options(): AskOptions & Required<Pick<AskOptions, "storage">> {
		const visit = this.#visit;
		const { random } = this.gateway;
		const { kept } = this;
		const meddle = () => {
			if (random() < 0.03) {
				throw new Error("a callback's");
			}
		};
		return {
			fetch: this.gateway.of(this.n),
			storage: kept,
			retry: { maxAttempts: Infinity },
			headers: () => ({ Authorization: `Bearer ${this.#token}` }),
			onunauthorized: async () => {
				await new Promise((resolve) => setTimeout(resolve, 300));
				this.#token = this.gateway.token;
			},
			onevent: ({ type, id }) => {
				if (visit !== this.#visit) {
					this.faults.push(`${type} came after the page was left`);
				}
				const n = Number.parseInt(id, 10);
				if (type !== "ringcast.gap" && n !== this.had + 1) {
					this.faults.push(`${n} came after ${this.had}`);
				}
				this.had = n;
				meddle();
			},
			ontext: meddle,
			onopen: meddle,
			onretry: meddle,
			onerror: meddle,
		};
	}
}

const page = usePage(1_000_000_000);

const PIECES = ["a", " ", "\r\n", "\n\n", "é€", "😀", "    x\r", '"}', "data: y\n\n", "\u2028\0"];

test.each(seeds(60))("whatever happens: asked once, and whole (seed %i)", async (seed) => {
	const random = generator(seed);
	vi.spyOn(Math, "random").mockImplementation(random);
	const gateway = new Gateway(random);
	const first = new Tab(0, gateway);
	const tabs = [first];
	const draw = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T;
	const recorded = () => gateway.answers[0];

	const check = () => {
		expect(tabs.flatMap(({ faults }) => faults)).toEqual([]);
		expect(gateway.answers.length).toBeLessThanOrEqual(1);
		for (const { n, answer, had } of tabs) {
			const parts = recorded()?.parts.slice(0, had) ?? [];
			const text = parts.map(([type, data]) => (type === "add" ? data : "")).join("");
			expect(answer?.text ?? text).toBe(text);
			expect([...gateway.connections].filter(({ tab }) => tab === n).length).toBeLessThan(2);
		}
	};
	const work = () => {
		const answer = recorded();
		if (answer !== undefined && !answer.parts.some(isLast)) {
			const part: Part = random() < 0.8 ? ["add", draw(PIECES)] : ["info", "{}"];
			gateway.say(answer, answer.stopped ? ["error", '{"reason":"stopped"}'] : part);
		}
	};

	first.ask();
	let crashed = false;
	for (let step = 0; step < STEPS; step++) {
		const drawn = random();
		const tab = draw(tabs);
		if (drawn < 0.4) {
			work();
		} else if (drawn < 0.48) {
			gateway.cut();
		} else if (drawn < 0.52) {
			gateway.token++;
		} else if (drawn < 0.6) {
			Object.assign(navigator, { onLine: random() < 0.7 });
			page.target.dispatchEvent(new Event("online"));
		} else if (drawn < 0.65) {
			page.target.dispatchEvent(new Event(draw(["visibilitychange", "pageshow", "pagehide"])));
		} else if (drawn < 0.68) {
			vi.setSystemTime(Date.now() + (random() - 0.5) * 7_200_000);
		} else if (drawn < 0.76 || tab.end !== undefined) {
			const how = draw(["close", "reload", "crash"] as const);
			crashed = how === "crash";
			tab.leave(how);
			await settle();
			await tab.resume(crashed);
		} else if (drawn < 0.77 && tabs.length === 1 && tab.end === undefined) {
			page.target.dispatchEvent(new Event("pagehide"));
			const twin = new Tab(1, gateway, tab.kept.leave());
			tabs.push(twin);
			twin.most = Infinity;
			await twin.resume(true);
		} else if (drawn < 0.78) {
			void tab.answer?.stop();
		} else {
			await vi.advanceTimersByTimeAsync(random() * (random() < 0.2 ? 60_000 : 3_000));
		}
		await settle();
		check();
	}

	Object.assign(navigator, { onLine: true });
	gateway.wellBehaved = true;
	await vi.advanceTimersByTimeAsync(600_000);
	for (const tab of tabs) {
		if (tab.end instanceof Error && tab.end.reason === "unauthorized") {
			await tab.resume(false);
		}
	}
	await vi.advanceTimersByTimeAsync(600_000);
	const answer = recorded() as Recorded;
	if (!answer.parts.some(isLast)) {
		gateway.say(answer, answer.stopped ? ["error", '{"reason":"stopped"}'] : ["finish", "7"]);
	}
	await vi.advanceTimersByTimeAsync(600_000);
	check();
	const text = answer.parts.map(([type, data]) => (type === "add" ? data : "")).join("");
	for (const tab of tabs) {
		const whole = { id: answer.id, text, finish: 7 };
		const stopped = { reason: "stopped" };
		expect(tab.end).toMatchObject(answer.stopped ? stopped : whole);
		expect(tab.kept.getItem(`ringcast:answer:${WHERE}`)).toBe("");
	}
	expect(gateway.connections.size).toBe(0);
	expect(page.listening).toBe(0);
	expect(vi.getTimerCount()).toBe(0);
});
