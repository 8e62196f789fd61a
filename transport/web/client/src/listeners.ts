import type { StreamEvent } from "./options.ts";

export type Listener = (event: StreamEvent) => void;

/** Listeners by type. No EventTarget: what a listener throws there, Node.js ends for. */
export class Listeners {
	private readonly byType = new Map<string, Set<Listener>>();

	add(type: string, listener: Listener): void {
		const set = this.byType.get(type) ?? new Set();
		this.byType.set(type, set.add(listener));
	}

	remove(type: string, listener: Listener): void {
		this.byType.get(type)?.delete(listener);
	}

	/** Those of a type now: one added meanwhile waits for the next event. */
	of(type: string): Listener[] {
		return [...(this.byType.get(type) ?? [])];
	}
}
