import type { StreamError } from "./errors.ts";
import type { StreamEnd } from "./options.ts";

/** Thrown to end the stream: how, or the error it fails with. */
export class Ended {
	constructor(readonly how: StreamEnd | StreamError) {}
}
