import { afterEach, beforeEach, vi } from "vitest";

/** What a client finds in a page: the network, being seen, and the time, which the test moves. */
export interface FakePage {
	/** Where it listens. */
	target: EventTarget;
	/** Its listeners that it has not let go. */
	listening: number;
}

/** Gives every test of a file a page, at a time in ms. */
export function usePage(now: number): FakePage {
	const page: FakePage = { target: new EventTarget(), listening: 0 };
	beforeEach(() => {
		vi.useFakeTimers({ now, toFake: ["setTimeout", "clearTimeout", "Date"] });
		page.target = new EventTarget();
		page.listening = 0;
		vi.stubGlobal("addEventListener", (...args: Parameters<EventTarget["addEventListener"]>) => {
			const { signal } = args[2] as { signal: AbortSignal };
			if (!signal.aborted) {
				page.listening++;
				signal.addEventListener("abort", () => page.listening--);
			}
			page.target.addEventListener(...args);
		});
		vi.stubGlobal("navigator", { onLine: true });
		vi.stubGlobal("reportError", () => {}); // what the tests' own callbacks throw
	});
	afterEach(() => {
		vi.useRealTimers();
		vi.unstubAllGlobals();
		vi.restoreAllMocks();
	});
	return page;
}

/** Lets everything happen that takes next to no time. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 10; turn++) {
		await vi.advanceTimersByTimeAsync(1); // a timer of 0 ms too
	}
}
