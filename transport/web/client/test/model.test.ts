import { expect, test, vi } from "vitest";
import {
	createEventStream,
	type EventStreamOptions,
	type ResumableStream,
	type StreamEvent,
} from "../src/index.ts";
import { settle, usePage } from "./page.ts";
import { generator, seeds } from "./random.ts";

const STEPS = 120;

/** A request that the client has not let go of. */
interface Connection {
	body?: ReadableStreamDefaultController<Uint8Array>;
	fail(error: Error): void;
}

/** A server with a log, which answers well or badly, as it is drawn. */
class Server {
	/** Events in the log, whose ids are 1, 2, … */
	published = 0;
	token = 0;
	wellBehaved = false;
	readonly connections = new Set<Connection>();
	/** The ids that were asked for, and when. */
	readonly requests: { readonly lastEventId: string; readonly at: number }[] = [];

	constructor(readonly random: () => number) {}

	publish(): void {
		this.published++;
		for (const { body } of this.connections) {
			if (body !== undefined) {
				this.#send(body, block(this.published));
			}
		}
	}

	/** Ends all streams, with an error or cleanly, in the middle of an event or behind one. */
	cut(): void {
		for (const { body, fail } of [...this.connections]) {
			if (body !== undefined && this.random() < 0.5) {
				body.enqueue(new TextEncoder().encode(block(this.published + 1).slice(0, -1)));
			}
			if (body !== undefined && this.random() < 0.5) {
				body.close();
				this.connections.clear();
			} else {
				fail(new TypeError("cut"));
			}
		}
	}

	readonly fetch: typeof fetch = (_, init = {}) => {
		const headers = init.headers as Headers;
		const signal = init.signal as AbortSignal;
		const lastEventId = headers.get("last-event-id") ?? "";
		const authorized = headers.get("authorization") === `Bearer ${this.token}`;
		this.requests.push({ lastEventId, at: Date.now() });
		return new Promise((resolve, reject) => {
			const connection: Connection = {
				fail: (error) => {
					this.connections.delete(connection);
					reject(error);
					connection.body?.error(error);
				},
			};
			this.connections.add(connection);
			signal.addEventListener("abort", () => connection.fail(signal.reason));
			const answer = () => {
				if (!this.connections.has(connection)) {
					return;
				}
				const bad = this.wellBehaved ? 1 : this.random();
				if (!authorized) {
					this.connections.delete(connection);
					resolve(new Response(null, { status: 401 }));
				} else if (navigator.onLine === false || bad < 0.1) {
					connection.fail(new TypeError("no network"));
				} else if (bad < 0.2) {
					this.connections.delete(connection);
					const floor = { "Retry-After": String(Math.floor(this.random() * 20)) };
					resolve(new Response("{}", { status: 503, headers: floor }));
				} else if (bad > 0.3 || this.wellBehaved) {
					resolve(this.#stream(connection, Number(lastEventId)));
				} // else it never answers
			};
			if (this.random() < 0.5) {
				answer();
			} else {
				setTimeout(answer, this.random() * 2_000);
			}
		});
	};

	#stream(connection: Connection, after: number): Response {
		const body = new ReadableStream<Uint8Array>({
			start: (controller) => {
				connection.body = controller;
			},
			cancel: () => void this.connections.delete(connection),
		});
		const held = Array.from({ length: this.published - after }, (_, n) => block(after + 1 + n));
		const retry = this.random() < 0.2 ? `retry: ${Math.floor(this.random() * 3)}\n` : "";
		this.#send(connection.body as ReadableStreamDefaultController, retry + held.join(""));
		return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
	}

	/** In pieces of any length, through characters and line ends. */
	#send(body: ReadableStreamDefaultController<Uint8Array>, text: string): void {
		let bytes = new TextEncoder().encode(text);
		while (bytes.length > 0) {
			const length = 1 + Math.floor(this.random() * 40);
			body.enqueue(bytes.slice(0, length));
			bytes = bytes.slice(length);
		}
	}
}

function block(n: number): string {
	const [one, two] = [n % 2 ? "\r\n" : "\n", n % 3 ? "\n" : "\r"];
	return `:c${one}data: ${n} é€😀${one}id: ${n}${two}${two}`;
}

const page = usePage(1_000_000);

test.each(seeds(60))(
	"whatever happens: in order, once, by one connection (seed %i)",
	async (seed) => {
		const random = generator(seed);
		vi.spyOn(Math, "random").mockImplementation(random);
		const server = new Server(random);
		const seen: StreamEvent[] = [];
		const kept: string[] = [];
		const ends: unknown[] = [];
		const quits = new AbortController();
		let token = 0;
		const chance = (p: number) => random() < p;
		const meddle = () => {
			if (chance(0.03)) {
				stream.reconnect();
			}
			if (chance(0.03)) {
				throw new Error("a listener's");
			}
		};
		const options: EventStreamOptions = {
			fetch: server.fetch,
			signal: quits.signal,
			retry: { maxAttempts: Infinity },
			headers: () => ({ Authorization: `Bearer ${token}` }),
			onunauthorized: async () => {
				await new Promise((resolve) => setTimeout(resolve, 300));
				token = server.token;
			},
			storage: {
				getItem: () => null,
				setItem: (_, id) => kept.push(id),
			},
			onmessage: (event) => {
				seen.push(event);
				meddle();
			},
			onopen: meddle,
			onretry: () => (chance(0.1) ? 50 : meddle()),
			onerror: () => {
				if (chance(0.05)) {
					stream.reconnect();
				}
			},
			onclose: (...end) => ends.push(end),
		};
		const stream: ResumableStream = createEventStream("http://server/stream", options);

		const check = () => {
			expect(seen.map(({ lastEventId }) => lastEventId)).toEqual(seen.map((_, n) => `${n + 1}`));
			expect(seen.every(({ data }, n) => data === `${n + 1} é€😀`)).toBe(true);
			expect(server.connections.size).toBeLessThanOrEqual(1);
			expect(Number(kept.at(-1) ?? 0)).toBeLessThanOrEqual(seen.length);
			expect(stream.lastEventId).toBe(seen.at(-1)?.lastEventId ?? "");
		};

		for (let step = 0; step < STEPS; step++) {
			const drawn = random();
			if (drawn < 0.3) {
				server.publish();
			} else if (drawn < 0.4) {
				server.cut();
			} else if (drawn < 0.45) {
				server.token++;
			} else if (drawn < 0.55) {
				const before = server.requests.length;
				stream.reconnect();
				await settle();
				// A token that is renewed is waited for.
				const renewed = server.token !== token;
				expect(server.requests.length > before || renewed).toBe(true);
			} else if (drawn < 0.65) {
				Object.assign(navigator, { onLine: chance(0.7) });
				page.target.dispatchEvent(new Event("online"));
			} else if (drawn < 0.75) {
				page.target.dispatchEvent(new Event(chance(0.5) ? "visibilitychange" : "pagehide"));
			} else {
				await vi.advanceTimersByTimeAsync(random() * (chance(0.2) ? 60_000 : 3_000));
			}
			await settle();
			check();
		}

		Object.assign(navigator, { onLine: true });
		server.wellBehaved = true;
		server.publish();
		await vi.advanceTimersByTimeAsync(600_000);
		check();
		expect(seen).toHaveLength(server.published);
		expect(ends).toEqual([]);

		const how = random();
		if (how < 0.5) {
			stream.close();
		} else {
			quits.abort();
		}
		if (chance(0.5)) {
			stream.reconnect();
		}
		await settle();
		server.publish();
		await vi.advanceTimersByTimeAsync(600_000);
		check();
		expect(seen).toHaveLength(server.published - 1);
		expect(kept.at(-1)).toBe(stream.lastEventId);
		expect(ends).toEqual([[{ reason: "closed" }, undefined]]);
		expect(server.connections.size).toBe(0);
		expect(page.listening).toBe(0);
		expect(vi.getTimerCount()).toBe(0);
	},
);
