export { StreamError, type StreamErrorCode } from "./errors.ts";
export { type Chunk, EventStream } from "./event-stream.ts";
export {
	type EventSourceMessage,
	EventStreamContentType,
	type FetchEventSourceInit,
	fetchEventSource,
} from "./fetch-event-source.ts";
export type {
	EventStreamOptions,
	Gap,
	RequestContext,
	RetryNotice,
	RetryOptions,
	StreamEnd,
	StreamEvent,
	StreamStorage,
} from "./options.ts";
export { CLOSED, CONNECTING, createEventStream, OPEN, type ResumableStream } from "./stream.ts";
