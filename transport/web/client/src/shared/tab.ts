import type { EventStreamOptions } from "../options.ts";
import type { ResumableStream } from "../stream.ts";
import { SharedBody, type Source } from "./body.ts";
import { Log } from "./log.ts";
import type { Call, Head, Notice, PlainRequest } from "./messages.ts";
import { headOf, isStream } from "./relay.ts";

/** How a tab reaches the relay, which may be its own. */
export interface Line {
	/** Whether the relay makes this tab's request, and no other's. */
	readonly leads: boolean;
	/** Takes part, until `leave`; may be called again after that. */
	start(): void;
	call(call: Call): void;
	/** Has the relay make the request, unless it is busy. Only the tab that leads calls it. */
	open(request: PlainRequest, signal: AbortSignal): void;
	leave(): void;
}

/** A call of fetch that waits for the shared stream. */
interface Waiting {
	readonly request: PlainRequest;
	readonly signal: AbortSignal;
	answer(response: Response | Promise<Response>): void;
	fail(error: Error): void;
}

/**
 * A tab's end of the shared stream: the `fetch` of an ordinary stream. That stream does all the
 * rest, its listeners, retries, end: for it, this is a server.
 */
export class Tab implements Source {
	/** Of the shared stream, as long as one is open. */
	log: Log | undefined;

	/** Undefined where there is no way to the others: this tab has its own connection. */
	#line: Line | undefined;
	#stream!: ResumableStream;
	#resync!: () => void;
	/** The relay that led last. */
	#relay: string | undefined;
	#head: Head | undefined;
	#waiting: Waiting | undefined;
	#body: SharedBody | undefined;
	readonly #life = new AbortController();

	readonly #options: EventStreamOptions;
	readonly #begin: unknown;

	/** @param begin where a client without an id begins */
	constructor(options: EventStreamOptions, begin: unknown) {
		this.#options = options;
		this.#begin = begin;
	}

	/**
	 * Takes part as long as the stream is not done.
	 * @param resync has it connect anew at once, without a word to the user
	 */
	join(line: Line, stream: ResumableStream, resync: () => void): void {
		this.#line = line;
		this.#stream = stream;
		this.#resync = resync;
		line.start();
		this.#watchPage();
		const leave = () => {
			this.#life.abort();
			this.#leave();
		};
		stream.done.then(leave, leave);
	}

	/** Takes another way to the others, or none, where one does not work. */
	change(line: Line | undefined): void {
		this.#leave();
		this.#line = line;
		line?.start();
		this.resync();
	}

	readonly fetch = (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
		if (this.#line === undefined) {
			const { fetch = globalThis.fetch } = this.#options;
			return fetch(input, init);
		}
		const { signal, ...plain } = init;
		const request = {
			url: new URL(String(input), location.href).href,
			init: { ...plain, headers: [...new Headers(plain.headers)] as [string, string][] },
			position: this.#stream.lastEventId,
			idleTimeoutMs: this.#options.idleTimeoutMs ?? 45_000,
		};
		return new Promise((answer, fail) => {
			const waiting = { request, signal: signal as AbortSignal, answer, fail };
			this.#waiting = waiting;
			waiting.signal.addEventListener("abort", () => {
				if (this.#waiting === waiting) {
					this.#waiting = undefined;
				}
			});
			if (this.log !== undefined) {
				this.#attach(this.log);
			} else {
				this.#ask();
			}
		});
	};

	resync(): void {
		this.#resync();
	}

	reconnect(): void {
		this.#line?.call({ kind: "restart" });
		this.resync();
	}

	/** This tab's requests are the relay's from now on. */
	lead(relay: string): void {
		if (relay !== this.#relay) {
			this.#follow(relay);
		} else if (this.log === undefined) {
			this.#ask();
		}
	}

	/** A tab that is seen waits: one that is hidden, with slow timers, does not keep it waiting. */
	hurry(): void {
		if (!isSeen() && this.#waiting === undefined && this.log === undefined) {
			this.resync();
		}
	}

	receive(notice: Notice): void {
		if (notice.kind === "lead" || notice.kind === "state") {
			if (notice.relay !== this.#relay) {
				this.#follow(notice.relay);
			}
			if (notice.kind === "state") {
				this.#compare(notice.position, notice.head);
			}
		} else if (notice.relay === this.#relay) {
			this.#take(notice);
		}
	}

	#take(notice: Exclude<Notice, { kind: "lead" | "state" }>): void {
		switch (notice.kind) {
			case "open":
				this.#opened(notice.position, notice.head);
				break;
			case "entries":
				for (const entry of notice.entries) {
					this.log?.push(entry);
				}
				this.#body?.push(notice.entries);
				break;
			case "answer":
				this.#settle()?.answer(responseOf(notice.head, notice.body || null));
				break;
			case "lost":
				this.#lost(notice.how, notice.why);
				break;
			case "bye":
				this.#relay = this.log = undefined;
				break;
		}
	}

	/** Listens to another relay from now on. */
	#follow(relay: string): void {
		this.#relay = relay;
		this.log = undefined;
		if (this.#waiting !== undefined) {
			this.#ask();
		} else {
			this.resync();
		}
	}

	/** What is here is what the relay has sent; if not, the tab was away. */
	#compare(position: string, head: Head | undefined): void {
		if (head === undefined) {
			if (this.log !== undefined) {
				this.#lost("failed", "");
			}
		} else if (this.log?.position !== position) {
			this.#opened(position, head);
		}
	}

	#opened(position: string, head: Head): void {
		this.log = new Log(position, head.fresh === true && this.#begin === "last");
		this.#head = head;
		if (this.#waiting !== undefined) {
			this.#attach(this.log);
		} else {
			this.resync();
		}
	}

	#lost(how: "ended" | "failed" | "restarted", why: string): void {
		this.log = undefined;
		if (how === "restarted") {
			this.resync();
			return;
		}
		const error = new TypeError(`the shared stream is lost: ${why}`);
		this.#settle()?.fail(error);
		this.#body?.lost(how === "ended" ? undefined : error);
	}

	/** Makes the request, or waits for the tab whose turn it is. */
	#ask(): void {
		const waiting = this.#waiting;
		const line = this.#line;
		if (waiting === undefined) {
			return;
		}
		if (line?.leads) {
			line.open(waiting.request, waiting.signal);
		} else {
			line?.call({ kind: "join", seen: isSeen() });
		}
	}

	#settle(): Waiting | undefined {
		const waiting = this.#waiting;
		this.#waiting = undefined;
		return waiting;
	}

	/** Answers in the turn in which the shared stream is where the log says. */
	#attach(log: Log): void {
		const waiting = this.#settle();
		if (waiting === undefined) {
			return;
		}
		const { request, signal } = waiting;
		const body = new SharedBody(this, request.position);
		this.#body = body;
		signal.addEventListener("abort", () => {
			body.finish(signal.reason);
			if (this.#body === body) {
				this.#body = undefined;
			}
		});
		if (request.position === "" && this.#begin === "now") {
			body.joinNow(log);
		} else if (!body.join()) {
			waiting.answer(this.#catchUp(body, request, signal));
			return;
		}
		waiting.answer(responseOf(this.#head as Head, body.stream));
	}

	/** Answers from a connection of the tab's own, until it has met the shared one. */
	async #catchUp(
		body: SharedBody,
		{ url, init }: PlainRequest,
		signal: AbortSignal,
	): Promise<Response> {
		const { fetch = globalThis.fetch } = this.#options;
		const response = await fetch(url, { ...init, signal });
		if (!isStream(response)) {
			return response;
		}
		body.catchUp(response);
		return responseOf(headOf(response), body.stream);
	}

	#leave(): void {
		this.#relay = this.log = undefined;
		this.#line?.leave();
	}

	/**
	 * A page that is left, or frozen, takes no part: others need not wait for it to notice, and
	 * nothing piles up before it. Back again, it goes on from its last id.
	 */
	#watchPage(): void {
		const watch = (event: Event) => {
			if (event.type === "pagehide" || event.type === "freeze") {
				this.#leave();
			} else if (event.type === "resume" || (event as PageTransitionEvent).persisted) {
				this.#line?.start();
				this.resync();
			}
		};
		for (const type of ["pagehide", "freeze", "resume", "pageshow"]) {
			addEventListener(type, watch, { capture: true, signal: this.#life.signal });
		}
	}
}

export function isSeen(): boolean {
	return globalThis.document?.visibilityState === "visible";
}

function responseOf({ status, headers }: Head, body: BodyInit | null): Response {
	return new Response(body, { status, headers: headers as [string, string][] });
}
