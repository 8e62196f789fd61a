import type { Question } from "./question.ts";

/**
 * What a handler says: a piece of the text, or an event of another type. The data of
 * `info`, `finish` and `error` is JSON, and so is that of any other type which is neither a
 * string nor bytes. After `finish` or `error` nothing more is taken.
 */
export type Chunk = string | { readonly type: string; readonly data?: unknown };

export interface HandlerContext {
	/** Aborted when the answer is to stop or cannot go on; its reason is a WorkerError. */
	readonly signal: AbortSignal;
}

/** An iterable of chunks: an async generator, or what a model's library streams. */
export type Answered = AsyncIterable<Chunk> | Iterable<Chunk>;

/**
 * Answers a question. A string is the whole text, and so is each that an iterable gives. The
 * end of it finishes the answer; what is thrown fails it.
 */
export type Handler = (question: Question, context: HandlerContext) => Answered | Promise<Answered>;
