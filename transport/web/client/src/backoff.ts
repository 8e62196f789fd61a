import type { RetryOptions } from "./options.ts";

const FIRST_OPEN_ATTEMPTS = 5;

/** How long a stream must last before the next delay is a first one. */
const STABLE_MS = 5_000;

/**
 * The delays between attempts: exponential with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * They begin anew only after a stream that lasted: one that resets on every answer
 * hammers a server that accepts and drops.
 */
export class Backoff {
	readonly #options: RetryOptions;
	#failures = 0;
	/** Those of them that were made offline. */
	#spared = 0;
	#answered = false;
	/** NaN while no stream is open. */
	#openedAt = NaN;
	#baseMs: number;

	constructor(options: RetryOptions) {
		this.#options = options;
		this.#baseMs = options.baseMs ?? 1_000;
	}

	/** Attempts in a row that were no stable stream. */
	get attempt(): number {
		return this.#failures;
	}

	/** Takes over what a server says in `retry:`. */
	rebase(ms: number): void {
		this.#baseMs = ms || 1; // 0 could not be doubled
	}

	opened(): void {
		this.#answered = true;
		this.#openedAt = Date.now();
	}

	/**
	 * Counts the end of an attempt, after a stable stream as the first. One that was made
	 * offline makes the delay longer too, for what a browser says of its network may be wrong.
	 */
	ended(offline?: boolean): void {
		if (Date.now() - this.#openedAt >= STABLE_MS) {
			this.#failures = this.#spared = 0;
		}
		this.#openedAt = NaN;
		this.#failures++;
		if (offline) {
			this.#spared++;
		}
	}

	get exhausted(): boolean {
		const limit = this.#options.maxAttempts ?? (this.#answered ? Infinity : FIRST_OPEN_ATTEMPTS);
		return this.#failures - this.#spared >= limit;
	}

	/** The time to the next attempt, never below a server's `Retry-After`. */
	delayMs(floorMs: number): number {
		const most = Math.max(this.#options.maxMs ?? 30_000, this.#baseMs);
		const backoff = Math.min(most, this.#baseMs * 2 ** (this.#failures - 1));
		const drawn = this.#options.jitter === false ? backoff : Math.random() * backoff;
		return Math.max(floorMs, drawn);
	}
}

/** Reads Retry-After, seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
export function retryAfterMs(headers: Headers): number {
	const value = headers.get("retry-after") ?? "";
	const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
	return ms > 0 ? ms : 0;
}
