import { Ended } from "../ended.ts";
import { guarded } from "../errors.ts";
import { GAP_TYPE } from "../gap.ts";
import { Keeper } from "../keeper.ts";
import type { StreamEnd, StreamStorage } from "../options.ts";
import { createEventStream, type ResumableStream } from "../stream.ts";
import { watchPage } from "../wake.ts";
import { AskError, causedBy, saidBy } from "./error.ts";
import { type AnswerEvent, parseJson, readEvent } from "./event.ts";
import type { AskOptions } from "./options.ts";
import { type Begun, readRecord, type Unconfirmed } from "./record.ts";

/** An answer that is whole. */
export interface AnswerEnd {
	readonly id: string | undefined;
	readonly text: string;
	/** The data of `finish`: its JSON, or the text; undefined where there is none. */
	readonly finish: unknown;
}

/** An answer that comes, and comes back by itself after a cut. */
export interface Answer extends AsyncIterable<AnswerEvent> {
	/** The data of all `add` events so far, also of those that a visit before this one has had. */
	readonly text: string;
	/** What it is known by; undefined until a gateway has confirmed the question. */
	readonly id: string | undefined;
	/**
	 * Resolves when the answer is whole; rejects with an AskError where it will not be, or was
	 * left. Nobody needs to handle it: a failure is no unhandled rejection.
	 */
	readonly done: Promise<AnswerEnd>;
	/**
	 * Has the worker stop, as soon as the answer has an id, and goes on up to the worker's last word.
	 * Resolves when the gateway has taken note. Closed before it has an id it cannot be stopped.
	 */
	stop(): Promise<void>;
	/** Leaves: the worker goes on, and `resumeAnswer` comes back to it. No event is handed over from here on. */
	close(): void;
}

/**
 * Asks, and follows the answer to its end. The body is any JSON. The request is made after
 * the turn in which this is called. The events of a `for await` loop are all from its first
 * `next()` on; it ends normally only where the answer is whole, else it throws the
 * AskError. Leaving the loop closes the answer, and stops nothing.
 */
export function ask(url: string | URL, body: unknown, options: AskOptions = {}): Answer {
	const { idempotencyKey: key = randomKey() } = options;
	const answer = new Following(String(url), { key, body: JSON.stringify(body) }, options);
	answer.remember();
	return answer;
}

/**
 * Comes back to the answer that `storage` has of an earlier visit to the page; null where
 * there is none, or it has ended. The events are those that the earlier visit has not had.
 */
export async function resumeAnswer(
	url: string | URL,
	options: AskOptions & Required<Pick<AskOptions, "storage">>,
): Promise<Answer | null> {
	const record = readRecord(await keeperOf(String(url), options, options.storage).read());
	return record === undefined ? null : new Following(String(url), record, options);
}

/** The types of an answer's last event. */
const LAST = ["finish", "error"];

/** One stream, whose requests are those of the answer: to ask first, to go on afterwards. */
class Following implements Answer {
	readonly done: Promise<AnswerEnd>;
	text: string;
	id: string | undefined;

	readonly #url: string;
	readonly #question: Partial<Unconfirmed>;
	readonly #options: AskOptions;
	readonly #stream: ResumableStream;
	readonly #keeper: Keeper;
	readonly #life = new AbortController();
	/** Resolved with the first id, or at an end without one. */
	readonly #named: Promise<void>;
	#name!: () => void;
	/** The id of the event that the text has last: what is kept with it, and resumed from. */
	#last: string;
	/** Both before the newest event, which a loop may not have taken yet. */
	#before: Pick<Begun, "last" | "text">;
	/** The record as it was written, or read. */
	#kept: string;
	/** After a gap, once: what has a second one will not get better. */
	#begunAnew = false;
	#finish: unknown;
	#error: AskError | undefined;
	/** There is nothing to come back to. */
	#isOver = false;

	constructor(url: string, from: Partial<Unconfirmed & Begun>, options: AskOptions) {
		const { id, last = "", text = "" } = from;
		this.#url = url;
		this.#question = from;
		this.#options = options;
		this.id = id;
		this.text = text;
		this.#last = last;
		this.#before = { last, text };
		this.#named = new Promise((resolve) => {
			this.#name = resolve;
		});
		const { storage, storageKey: _k, idempotencyKey: _i, answers: _a, signal, ...shared } = options;
		this.#keeper = keeperOf(
			url,
			options,
			storage && {
				getItem: () => null,
				setItem: (key) => this.#write(storage, key),
			},
		);
		this.#stream = createEventStream(url, {
			...shared,
			fetch: (_, init) => this.#request(init as RequestInit),
			finishEvents: LAST,
			onmessage: (event) => this.#take(readEvent(event)),
		});
		this.#kept = this.#record();
		this.#stream.addEventListener(GAP_TYPE, (event) => this.#beginAnew(readEvent(event)));
		this.done = this.#follow();
		this.done.catch(() => {});
		signal?.addEventListener("abort", () => this.close(), { signal: this.#life.signal });
		if (signal?.aborted) {
			this.close();
		}
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void> {
		let isLeft = true;
		try {
			for await (const event of this.#stream) {
				yield readEvent(event);
			}
			isLeft = false;
		} catch {
			isLeft = false; // done says it in its own words
		} finally {
			if (isLeft) {
				this.close();
			}
		}
		await this.done;
	}

	stop(): Promise<void> {
		const stopping = this.#stop();
		stopping.catch(() => {}); // as done
		return stopping;
	}

	/** Keeps the question, unless it was never to be asked. */
	remember(): void {
		if (!this.#life.signal.aborted) {
			this.#keepNow();
		}
	}

	/** What has come is kept now: the page may ask the next question in the same turn. */
	close(): void {
		if (!this.#life.signal.aborted) {
			this.#keepNew();
			this.#life.abort();
			this.#stream.close();
		}
	}

	async #follow(): Promise<AnswerEnd> {
		watchPage(
			() => {},
			() => this.#keepNew(),
			this.#life.signal,
		);
		try {
			const end = await this.#stream.done;
			this.#isOver ||= isLast(end, this.id);
			const error = this.#error ?? failureOf(end);
			if (error !== undefined) {
				throw error;
			}
			return { id: this.id, text: this.text, finish: this.#finish };
		} catch (cause) {
			throw cause instanceof AskError ? cause : causedBy(cause);
		} finally {
			if (!this.#life.signal.aborted) {
				this.#keepNow();
				this.#life.abort();
			}
			this.#name();
		}
	}

	/** Makes the requests of the stream: the question under its key, until its answer has an id. */
	async #request(init: RequestInit): Promise<Response> {
		const { fetch = globalThis.fetch } = this.#options;
		const headers = new Headers(init.headers);
		headers.delete("Last-Event-ID"); // after a gap the stream has that of the gap
		const request: RequestInit = { ...init, headers };
		if (this.id === undefined) {
			const { key, body } = this.#question as Unconfirmed;
			headers.set("Idempotency-Key", key);
			headers.set("Content-Type", "application/json");
			Object.assign(request, { method: "POST", body });
		} else if (this.#last !== "") {
			headers.set("Last-Event-ID", this.#last);
		}
		const response = await fetch(withFormat(this.id ? this.#where : this.#url), request);
		if (response.ok) {
			this.#learn(response.headers.get("Ringcast-Ask-Id"));
		} else {
			await throwLastWord(response, this.id);
		}
		return response;
	}

	#learn(id: unknown): void {
		if (this.id === undefined && typeof id === "string") {
			this.id = id;
			this.#name();
			this.#keepNow();
		}
	}

	#take(event: AnswerEvent): void {
		const { type, data, json, id } = event;
		const said = json === undefined ? data : json;
		this.#before = { last: this.#last, text: this.text };
		if (!LAST.includes(type)) {
			this.#last = id; // a loop may be left before it has taken the last one
		}
		if (type === "add") {
			this.text += data;
		} else if (type === "ask") {
			this.#learn(Object(json).id);
		} else if (type === "finish") {
			this.#finish = data === "" ? undefined : said;
		} else if (type === "error") {
			this.#error = saidBy(said, undefined, "error");
		}
		this.#keeper.keep("");
		this.#tell(event, type === "add" ? data : undefined);
	}

	#beginAnew(event: AnswerEvent): void {
		this.#last = this.text = "";
		this.#before = { last: "", text: "" };
		if (this.#begunAnew) {
			this.#error = new AskError("gap", "a part of the answer is gone", undefined, event.json);
			this.#isOver = true;
			this.close();
		} else {
			this.#begunAnew = true;
			this.#stream.reconnect();
		}
		this.#tell(event, "");
	}

	#tell(event: AnswerEvent, added: string | undefined): void {
		const { onevent, ontext } = this.#options;
		try {
			onevent?.(event);
		} finally {
			if (added !== undefined) {
				ontext?.(this.text, added);
			}
		}
	}

	async #stop(): Promise<void> {
		if (this.id === undefined) {
			await this.#named;
		}
		if (this.id === undefined || this.#isOver) {
			return; // there is no answer, or no more of it
		}
		const { fetch = globalThis.fetch, ...options } = this.#options;
		const { headers, credentials, onunauthorized, retry = {}, connectTimeoutMs = 30_000 } = options;
		const { done } = createEventStream(this.#where, {
			method: "DELETE",
			headers,
			credentials,
			...(onunauthorized && { onunauthorized }),
			retry,
			connectTimeoutMs,
			fetch: async (url, init) => {
				const response = await fetch(url, { ...init, keepalive: true }); // also of a page that is left
				return response.ok ? new Response(null, { status: 204 }) : response;
			},
		});
		const error = failureOf(
			await done.catch((cause) => {
				throw causedBy(cause);
			}),
		);
		if (error !== undefined) {
			throw error;
		}
	}

	get #where(): string {
		const id = encodeURIComponent(this.id as string);
		const { answers } = this.#options;
		return answers === undefined
			? this.#url.replace(/[^/?#]*([?#].*)?$/, `${id}$1`)
			: String(answers).replace(/\/?$/, `/${id}`);
	}

	#keepNow(): void {
		this.#keeper.keep("");
		this.#keeper.flush();
	}

	/** Also that a loop has taken an event, of which nothing else is told. */
	#keepNew(): void {
		if (this.#record() !== this.#kept) {
			this.#keepNow();
		}
	}

	/** A question that does not fit is not kept, and not that before it in its place. */
	async #write(storage: StreamStorage, key: string): Promise<void> {
		this.#kept = this.#record();
		try {
			await storage.setItem(key, this.#kept);
		} catch (cause) {
			if (this.id === undefined) {
				await storage.setItem(key, "");
			}
			throw cause;
		}
	}

	#record(): string {
		const { id } = this;
		if (this.#isOver) {
			return "";
		}
		const last = this.#last;
		const isTaken = this.#stream.lastEventId === last;
		const had = isTaken ? { last, text: this.text } : this.#before;
		return JSON.stringify(id === undefined ? this.#question : { id, ...had });
	}
}

/** 128 bits. randomUUID is there in a secure context only, and a gateway may be without TLS. */
function randomKey(): string {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function keeperOf(
	url: string,
	{ storageKey = `ringcast:answer:${url}`, onerror }: AskOptions,
	storage: StreamStorage | undefined,
): Keeper {
	return new Keeper(storage, storageKey, (error) => guarded(() => onerror?.(error)));
}

function withFormat(url: string): string {
	return `${url}${url.includes("?") ? "&" : "?"}format=json`;
}

/**
 * Ends the stream where it would try again: with what a worker has said, which has the status in it
 * (a proxy's JSON has not), and with what the gateway says of the question rather than of itself.
 */
async function throwLastWord(response: Response, id: string | undefined): Promise<void> {
	const { status, headers } = response;
	const body = parseJson(await response.clone().text());
	const said = Object(body);
	const isWorkers =
		id === undefined &&
		said.status === status &&
		/^application\/json\b/.test(`${headers.get("content-type")}`);
	if (isWorkers || typeof said.reason === "string") {
		throw new Ended({ reason: "json", status, body });
	}
}

/** Whether there is nothing to come back to: a refusal may be the gateway's for the moment only. */
function isLast(end: StreamEnd, id: string | undefined): boolean {
	return (
		end.reason === "finished" || (end.reason === "json" && (id === undefined || end.status < 500))
	);
}

function failureOf(end: StreamEnd): AskError | undefined {
	switch (end.reason) {
		case "finished":
			return undefined;
		case "closed":
			return new AskError("closed", "");
		case "json":
			return saidBy(end.body, end.status);
	}
}
