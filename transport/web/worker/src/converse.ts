import type { Answer } from "./answer.ts";
import { Failure, WorkerError } from "./errors.ts";
import type { Answered, Chunk, Handler } from "./handler.ts";
import type { Settings } from "./options.ts";
import type { Question } from "./question.ts";

/**
 * How long a handler has for a last word of its own, once its signal is aborted and while
 * it says nothing at all.
 */
const LAST_WORD_MS = 5_000;

/** How much is said of what was thrown: a library may put a whole page into its message. */
const MAX_DETAIL = 1_024;

/** Has the handler say what it has to say, and says the last word where it has not. */
export async function converse(
	handler: Handler,
	question: Question,
	answer: Answer,
	signal: AbortSignal,
	onerror: Settings["onerror"],
): Promise<void> {
	try {
		const answered = await untilAborted(signal, async () => await handler(question, { signal }));
		await pump(answered, answer, signal);
		signal.throwIfAborted();
		await answer.end("finish");
		signal.throwIfAborted(); // an event before it could not be stored
	} catch (error) {
		if (!signal.aborted) {
			onerror(error, question);
		}
		await answer.end("error", failureOf(signal.aborted ? signal.reason : error));
	}
	const loss = [signal.reason, answer.failure].find(isLoss);
	if (loss !== undefined) {
		onerror(loss, question);
	}
}

/** Whether it is NATS that has not taken something. */
function isLoss(reason: unknown): boolean {
	return (
		reason instanceof WorkerError && (reason.code === "unavailable" || reason.code === "too-large")
	);
}

/**
 * Says what an iterable gives until it ends, says a last word, or the signal is aborted:
 * after that a last word alone is taken.
 */
async function pump(answered: Answered, answer: Answer, signal: AbortSignal): Promise<void> {
	const iterator = iteratorOf(answered);
	try {
		while (!answer.isEnded) {
			const next = await untilAborted(signal, async () => await iterator.next());
			if (next.done === true) {
				return;
			}
			if (signal.aborted && !isLast(next.value)) {
				break;
			}
			await answer.say(next.value);
		}
	} catch (error) {
		void close(iterator);
		throw error;
	}
	void close(iterator);
}

function iteratorOf(answered: Answered): AsyncIterator<Chunk> | Iterator<Chunk> {
	if (typeof answered === "string") {
		return [answered][Symbol.iterator]();
	}
	return Symbol.asyncIterator in answered
		? answered[Symbol.asyncIterator]()
		: answered[Symbol.iterator]();
}

function isLast(chunk: Chunk): boolean {
	return typeof chunk === "object" && (chunk.type === "finish" || chunk.type === "error");
}

/** Has a generator clean up. One that waits for something does so when that has come. */
async function close(iterator: AsyncIterator<Chunk> | Iterator<Chunk>): Promise<void> {
	try {
		await iterator.return?.();
	} catch {
		// The answer has ended: nobody is left to be told.
	}
}

/** What is said of an answer that is not whole. */
function failureOf(error: unknown): Failure["failure"] {
	if (error instanceof Failure) {
		return error.failure;
	}
	if (error instanceof WorkerError && (error.code === "stopped" || error.code === "shutdown")) {
		return { reason: error.code, detail: error.message };
	}
	const detail = error instanceof Error ? error.message : String(error);
	return { reason: "failed", detail: detail.slice(0, MAX_DETAIL) };
}

/** Resolves as the work does, or rejects a while after the signal was aborted. */
export async function untilAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	let onabort = () => {};
	const aborted = new Promise<never>((_, reject) => {
		onabort = () => {
			timer = setTimeout(() => reject(signal.reason), LAST_WORD_MS);
		};
		if (signal.aborted) {
			onabort();
		} else {
			signal.addEventListener("abort", onabort, { once: true });
		}
	});
	try {
		return await Promise.race([work(), aborted]);
	} finally {
		clearTimeout(timer);
		signal.removeEventListener("abort", onabort);
	}
}
