import type { Frame, View } from "../common/frame.ts";

/**
 * Draws a view in an animation frame, and not again within an interval: nobody reads a
 * table that changes sixty times a second, and the rest of the page has its frames.
 */
export class Pace {
	private timer: ReturnType<typeof setTimeout> | undefined;
	private drawnAt = Number.NEGATIVE_INFINITY;

	constructor(
		private readonly frame: Frame,
		private readonly view: View,
		private readonly everyMs: number,
	) {}

	request(): void {
		if (this.timer !== undefined) {
			return;
		}
		const wait = Math.max(0, this.drawnAt + this.everyMs - performance.now());
		this.timer = setTimeout(() => {
			this.timer = undefined;
			this.drawnAt = performance.now();
			this.frame.request(this.view);
		}, wait);
	}

	/** Draws with the next frame: somebody has done something. */
	hurry(): void {
		this.frame.request(this.view);
	}
}
