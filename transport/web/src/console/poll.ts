/**
 * Asks again and again while the page can be seen, one question at a time: at once, and
 * then an interval after each answer's question.
 */
export function poll(everyMs: number, ask: () => Promise<void>): void {
	let timer: ReturnType<typeof setTimeout> | undefined;
	let asking = false;
	const next = async () => {
		timer = undefined;
		if (asking || document.hidden) {
			return;
		}
		asking = true;
		const begun = performance.now();
		await ask();
		asking = false;
		clearTimeout(timer);
		timer = setTimeout(next, Math.max(0, begun + everyMs - performance.now()));
	};
	document.addEventListener("visibilitychange", () => void next());
	void next();
}
