/** Thrown by a handler: the answer is not whole, and this is why. */
export class Failure extends Error {
	override readonly name = "Failure";

	constructor(
		readonly failure: {
			/** For programs: a word or several_words. */
			readonly reason: string;
			/** For people, and shown to them. */
			readonly detail?: string;
			/** What a caller who has waited for JSON gets, 400 to 599; 502 without it. */
			readonly status?: number;
			/** In how many seconds it may be worth asking again. */
			readonly retry_after?: number;
		},
		options?: ErrorOptions,
	) {
		super(failure.detail ?? failure.reason, options);
		JSON.stringify(failure); // throws here what could not be said later
	}
}

/** Thrown by `check`: the question is not taken, and who asks gets this. */
export class Refusal extends Error {
	override readonly name = "Refusal";

	/**
	 * @param status 400 to 599
	 * @param body the members of the answer besides the status
	 */
	constructor(
		readonly status: number,
		readonly body: Readonly<Record<string, unknown>>,
	) {
		super(`refused with status ${status}`);
		if (!Number.isInteger(status) || status < 400 || status > 599) {
			throw new RangeError(`a refusal's status is 400 to 599, not ${status}`);
		}
		JSON.stringify(body); // throws here what could not be said later
	}
}

/**
 * - `stopped`: whoever asked has it stop, or the gateway does
 * - `ended`: the gateway has ended the answer
 * - `shutdown`: the worker stops, and its grace is over
 * - `unavailable`: NATS has not taken an event for as long as `patienceMs`, or is closed
 * - `too-large`: an event is larger than NATS takes
 */
export type WorkerErrorCode = "stopped" | "ended" | "shutdown" | "unavailable" | "too-large";

/** Why an answer cannot go on: the reason of a handler's signal. */
export class WorkerError extends Error {
	override readonly name = "WorkerError";

	constructor(
		readonly code: WorkerErrorCode,
		message: string,
		cause?: unknown,
	) {
		super(message, { cause });
	}
}
