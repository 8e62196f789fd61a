import { readProblem } from "../common/problem.ts";
import { token } from "../common/token.ts";

/** The answer of GET /v1/status, as far as the console shows it; see PROTOCOL.md. */
export interface Status {
	/** RFC 3339; their difference is that of a clock that is never set. */
	readonly time: string;
	readonly started: string;
	readonly version: string;
	readonly stream: string;
	readonly subjects: readonly string[];
	readonly head_id: string;
	/** Open now. */
	readonly streams: number;
	readonly ring: RingStatus;
	readonly nats: NatsStatus;
	readonly counters: Counters;
}

export interface RingStatus {
	/** Ids; null while it is empty. */
	readonly oldest: string | null;
	readonly newest: string | null;
	readonly events: number;
	readonly bytes: number;
	readonly file_bytes: number;
	readonly max_events: number;
	readonly max_bytes: number;
	readonly max_age_seconds: number;
}

export interface NatsStatus {
	readonly connected: boolean;
	readonly url: string;
	/** Events of the stream that the ring has yet to take in. */
	readonly lag: number;
	readonly caught_up: boolean;
	readonly error?: string;
}

/** What was done since `started`; none goes back. */
export interface Counters {
	readonly events: number;
	readonly event_bytes: number;
	readonly deliveries: number;
	readonly delivery_bytes: number;
	readonly streams: number;
	readonly resumes: number;
	readonly gaps: { readonly expired: number; readonly reset: number; readonly unknown: number };
}

const ANSWER_MS = 5_000;

/** The gateway has answered, but not with its status: to whom it is not granted, for one. */
export class StatusRefused extends Error {
	constructor(
		why: string,
		/** Of HTTP. */
		readonly status: number,
	) {
		super(why);
	}
}

export async function readStatus(): Promise<Status> {
	const answer = await token.fetch("v1/status", {
		cache: "no-store",
		signal: AbortSignal.timeout(ANSWER_MS),
	});
	if (!answer.ok) {
		throw new StatusRefused(await readProblem(answer), answer.status);
	}
	return (await answer.json()) as Status;
}
