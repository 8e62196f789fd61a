/** How long a change waits where there are no frames: in a hidden tab. */
const NO_FRAME_MS = 250;

/** Calls back with the next frame, or soon; returns what cancels that. */
export function onFrame(callback: () => void): () => void {
	const frame = globalThis.requestAnimationFrame?.(callback);
	const timer = setTimeout(callback, NO_FRAME_MS);
	return () => {
		if (frame !== undefined) {
			cancelAnimationFrame(frame);
		}
		clearTimeout(timer);
	};
}
