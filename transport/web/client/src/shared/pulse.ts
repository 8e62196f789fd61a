/** How often a tab that has heard nothing asks. */
const PULSE_MS = 3_000;
/** How many questions in a row go without an answer before the other is taken for dead. */
const MOST_MISSED = 3;

/**
 * Notices that the other side has fallen silent: a frozen tab says nothing and lets go of nothing.
 * It counts its own questions and not the time: where timers are slow, in a hidden tab, or stood
 * still, the other is asked as often and has as long to answer.
 */
export class Pulse {
	#missed = 0;
	#timer: ReturnType<typeof setInterval> | undefined;

	readonly #ask: () => void;
	readonly #onsilent: () => void;

	constructor(ask: () => void, onsilent: () => void) {
		this.#ask = ask;
		this.#onsilent = onsilent;
	}

	start(): void {
		this.stop();
		this.#timer = setInterval(() => this.#beat(), PULSE_MS);
	}

	stop(): void {
		clearInterval(this.#timer);
		this.#missed = 0;
	}

	/** The other lives. */
	heard(): void {
		this.#missed = 0;
	}

	#beat(): void {
		if (this.#missed < MOST_MISSED) {
			this.#missed++;
			this.#ask();
		} else {
			this.#missed = 0;
			this.#onsilent();
		}
	}
}
