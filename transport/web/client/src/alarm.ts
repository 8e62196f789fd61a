/** A timer that is so late has stood still: the tab was frozen, or the machine asleep. */
const LATE_MS = 1_000;
/** How often the clock is looked at: a timer does not run on while the machine sleeps. */
const LOOK_MS = 5_000;
/** What waking grants: to the bytes that came meanwhile, and to draw the moment of a retry from. */
const WAKING_MS = 1_000;

/** The one wait that a stream is in, by the clock on the wall. */
export class Alarm {
	#timer: ReturnType<typeof setTimeout> | undefined;
	#ring!: () => void;
	#ms!: number;
	#due!: number;
	/** The earliest that waking may bring forward to; undefined for a limit, which it puts off. */
	#earliest: number | undefined;
	#lookAt!: number;
	#roused!: boolean;

	/**
	 * Rings when it was not fed for so long; 0 is never. After waking it grants a second, once:
	 * a page gets its late timer before the bytes that came while it was frozen.
	 */
	limit(ms: number, ring: () => void): void {
		this.#set(ms || Infinity, ring);
	}

	/**
	 * Rings after a time, or soon after waking, but not before the floor. Many clients wake at
	 * once when their network is back: each draws its moment.
	 */
	wait(ms: number, floorMs: number, ring: () => void): void {
		this.#set(ms, ring, Date.now() + floorMs);
	}

	/** Begins a limit anew, also one that was stopped. */
	feed(): void {
		const now = Date.now();
		this.#due = now + this.#ms;
		this.#roused = false;
		if (this.#timer === undefined) {
			this.#plan(now);
		}
	}

	stop(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
	}

	/** Looks at the clock now: the page is seen again, or the network is back. */
	wake(): void {
		if (this.#timer !== undefined) {
			this.#lookAt = -Infinity;
			this.#look();
		}
	}

	#set(ms: number, ring: () => void, earliest?: number): void {
		this.stop();
		this.#ms = ms;
		this.#ring = ring;
		this.#earliest = earliest;
		this.feed();
	}

	#look(): void {
		this.stop();
		const now = Date.now();
		if (now - this.#lookAt > LATE_MS && !this.#roused) {
			this.#roused = true;
			this.#due =
				this.#earliest === undefined
					? Math.max(this.#due, now + WAKING_MS)
					: Math.max(this.#earliest, Math.min(this.#due, now + Math.random() * WAKING_MS));
		}
		this.#due = Math.min(this.#due, now + this.#ms); // the clock was put back
		if (now < this.#due) {
			this.#plan(now);
		} else {
			this.#ring();
		}
	}

	#plan(now: number): void {
		const inMs = Math.min(LOOK_MS, this.#ms, this.#due - now);
		this.#lookAt = now + inMs;
		this.#timer = setTimeout(() => this.#look(), inMs);
	}
}
