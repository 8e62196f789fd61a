export { type Answer, type AnswerEnd, ask, resumeAnswer } from "./ask/answer.ts";
export { AskError } from "./ask/error.ts";
export type { AnswerEvent } from "./ask/event.ts";
export type { AskOptions } from "./ask/options.ts";
