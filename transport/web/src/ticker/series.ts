/** A price at a time in milliseconds since the Unix epoch. */
export interface Point {
	readonly time: number;
	readonly price: number;
}

/**
 * Prices in the order of time, as far back as a window reaches. Neither the rate of
 * events nor the time the page has been open makes it grow beyond one point per
 * bucket of the window.
 */
export class Series {
	private readonly points: Point[] = [];

	/**
	 * @param windowMs how far back from the newest point it reaches
	 * @param bucketMs points closer together than this are one, the newest
	 */
	constructor(
		private readonly windowMs: number,
		private readonly bucketMs: number,
	) {}

	/** Inserts a point where its time belongs, at the end as a rule. */
	add(point: Point): void {
		let at = this.points.length;
		while (at > 0 && this.bucket(this.at(at - 1)) > this.bucket(point)) {
			at--;
		}
		if (at > 0 && this.bucket(this.at(at - 1)) === this.bucket(point)) {
			if (this.at(at - 1).time <= point.time) {
				this.points[at - 1] = point;
			}
		} else {
			this.points.splice(at, 0, point);
		}
		this.trim();
	}

	all(): readonly Point[] {
		return this.points;
	}

	/** Drops what has left the window, save one point so that a line enters from the edge. */
	private trim(): void {
		const oldest = this.at(this.points.length - 1).time - this.windowMs;
		let gone = 0;
		while (gone + 1 < this.points.length && this.at(gone + 1).time <= oldest) {
			gone++;
		}
		this.points.splice(0, gone);
	}

	private bucket(point: Point): number {
		return Math.floor(point.time / this.bucketMs);
	}

	private at(i: number): Point {
		return this.points[i] as Point; // every caller stays within the bounds
	}
}
