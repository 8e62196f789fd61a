import { jetstream } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { Answer } from "./answer.ts";
import { converse, untilAborted } from "./converse.ts";
import { Refusal, WorkerError } from "./errors.ts";
import type { Handler } from "./handler.ts";
import { type ServeOptions, type Settings, withDefaults } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { type Addresses, questionSubject, readQuestion } from "./question.ts";

/** How long NATS has to hand over the questions that are on their way, if it is there. */
const DRAIN_MS = 2_000;

/** A worker that answers. */
export interface Worker {
	/**
	 * Takes no more questions, lets answers go on for the grace, ends the others, and
	 * resolves. The connection stays open.
	 */
	stop(): Promise<void>;
	/** Resolves when the worker has stopped, also because its connection was closed. */
	readonly closed: Promise<void>;
	/** How many answers are under way. */
	readonly running: number;
	[Symbol.asyncDispose](): Promise<void>;
}

/** Answers questions until it is stopped. Resolves once NATS has heard of it. */
export async function serve(
	nc: NatsConnection,
	options: ServeOptions,
	handler: Handler,
): Promise<Worker> {
	const server = new Server(nc, withDefaults(options), handler);
	await nc.flush();
	return server;
}

class Server implements Worker {
	readonly closed: Promise<void>;
	private readonly js;
	private readonly subscription: Subscription;
	/** Each answer under way, and what ends its handler. */
	private readonly answers = new Map<Promise<void>, (reason: WorkerError) => void>();
	/** Questions that are being checked or answered. */
	private taken = 0;
	private stopping: Promise<void> | undefined;

	constructor(
		private readonly nc: NatsConnection,
		private readonly settings: Settings,
		private readonly handler: Handler,
	) {
		this.js = jetstream(nc);
		this.subscription = nc.subscribe(questionSubject(settings.subject), {
			queue: settings.queue,
			callback: (error, msg) => (error === null ? this.take(msg) : settings.onerror(error)),
		});
		this.closed = Promise.resolve(this.subscription.closed).then(() => this.stop());
	}

	get running(): number {
		return this.answers.size;
	}

	stop(): Promise<void> {
		this.stopping ??= this.end();
		return this.stopping;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}

	private async end(): Promise<void> {
		if (!this.subscription.isClosed() && !this.nc.isClosed()) {
			await atMost(DRAIN_MS, this.subscription.drain());
		}
		if (!this.nc.isClosed()) {
			await atMost(this.settings.graceMs, Promise.race([this.idle(), this.nc.closed()]));
		}
		const reason = this.nc.isClosed()
			? new WorkerError("unavailable", "the connection to NATS is closed")
			: new WorkerError("shutdown", "the worker shuts down");
		for (const abort of this.answers.values()) {
			abort(reason);
		}
		await this.idle();
	}

	private async idle(): Promise<void> {
		while (this.answers.size > 0) {
			await Promise.all(this.answers.keys());
		}
	}

	/** Takes a question, or refuses it. */
	private take(msg: Msg): void {
		if (this.taken >= this.settings.concurrency) {
			const detail = "the worker has as many questions as it takes";
			refuse(msg, new Refusal(503, { reason: "busy", detail }));
			return;
		}
		this.taken++;
		const controller = new AbortController();
		const running = this.answer(msg, controller)
			.catch((error: unknown) => this.settings.onerror(error))
			.finally(() => {
				this.taken--;
				this.answers.delete(running);
			});
		this.answers.set(running, (reason) => controller.abort(reason));
	}

	/** Has one question answered, from the check to the last event. */
	private async answer(msg: Msg, controller: AbortController): Promise<void> {
		const accepted = await this.accept(msg, controller.signal);
		if (accepted === undefined) {
			return;
		}
		const { question, addresses } = accepted;
		const publisher = new Publisher(
			this.nc,
			this.js,
			addresses.answer,
			addresses.claim,
			question.headers,
			this.settings.patienceMs,
		);
		const answer = new Answer(publisher, this.settings, (error) => controller.abort(error));
		// Before the question is accepted, so that who hears of that is heard here too.
		const unsubscribe = this.listen(addresses, controller);
		try {
			msg.respond();
			await converse(this.handler, question, answer, controller.signal, this.settings.onerror);
		} finally {
			unsubscribe();
		}
	}

	/** Reads and checks a question; resolves with undefined where it was refused. */
	private async accept(
		msg: Msg,
		signal: AbortSignal,
	): Promise<ReturnType<typeof readQuestion> | undefined> {
		let read: ReturnType<typeof readQuestion>;
		try {
			read = readQuestion(msg);
		} catch (error) {
			const detail = `this is no question of a gateway's: ${(error as Error).message}`;
			refuse(msg, new Refusal(400, { reason: "invalid", detail }));
			return undefined;
		}
		try {
			await untilAborted(signal, async () => await this.settings.check(read.question));
			return read;
		} catch (error) {
			if (error instanceof Refusal) {
				refuse(msg, error);
				return undefined;
			}
			this.settings.onerror(error, read.question);
			const detail = "the worker cannot check the question";
			refuse(msg, new Refusal(500, { reason: "failed", detail }));
			return undefined;
		}
	}

	private listen(addresses: Addresses, controller: AbortController): () => void {
		const alive = this.nc.subscribe(addresses.alive, {
			callback: (_, msg) => {
				msg.respond();
			},
		});
		const cancel = this.nc.subscribe(addresses.cancel, {
			callback: (_, msg) => {
				msg.respond();
				controller.abort(new WorkerError("stopped", "the answer was stopped"));
			},
		});
		return () => {
			alive.unsubscribe();
			cancel.unsubscribe();
		};
	}
}

/** Resolves with the promise, or after a time. */
async function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const timeout = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, ms);
	});
	await Promise.race([promise, timeout]);
	clearTimeout(timer);
}

function refuse(msg: Msg, refusal: Refusal): void {
	msg.respond(JSON.stringify({ ...refusal.body, status: refusal.status }));
}
