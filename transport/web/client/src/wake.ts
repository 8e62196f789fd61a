/**
 * Tells when a page is seen again or has a network again, for its timers may have been
 * slowed, frozen or asleep; and when it is left, perhaps for good. A worker is told of
 * its network alone, Node.js of nothing.
 */
export function watchPage(onwake: () => void, onleave: () => void, signal: AbortSignal): void {
	for (const type of ["visibilitychange", "pageshow", "pagehide", "online"]) {
		const tell = () => {
			const seen = type !== "pagehide" && !globalThis.document?.hidden;
			(seen || type === "online" ? onwake : onleave)();
		};
		globalThis.addEventListener?.(type, tell, { signal });
	}
}
