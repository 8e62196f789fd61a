/** What draws itself from state, at most once a frame. */
export interface View {
	render(): void;
}

/**
 * Draws views at most once per animation frame, however many events came in
 * between. A hidden tab draws nothing: what is due stays a set of views, not a
 * queue of events.
 */
export class Frame {
	private readonly due = new Set<View>();

	request(view: View): void {
		if (this.due.size === 0) {
			requestAnimationFrame(() => this.draw());
		}
		this.due.add(view);
	}

	private draw(): void {
		const views = [...this.due];
		this.due.clear();
		for (const view of views) {
			view.render();
		}
	}
}
