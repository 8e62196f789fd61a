export { Failure, Refusal, WorkerError, type WorkerErrorCode } from "./errors.ts";
export type { Chunk, Handler, HandlerContext } from "./handler.ts";
export type { ServeOptions } from "./options.ts";
export type { Question } from "./question.ts";
export { serve, type Worker } from "./serve.ts";
