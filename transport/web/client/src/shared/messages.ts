import type { Entry } from "./log.ts";

/** How the answer to a shared request began. */
export interface Head {
	readonly status: number;
	readonly headers: readonly (readonly [name: string, value: string])[];
	/** The request had no id. */
	readonly fresh?: boolean;
}

/** A request as plain data; the signal stays where it was made. */
export interface PlainRequest {
	readonly url: string;
	readonly init: Omit<RequestInit, "signal">;
	/** The position to resume from. */
	readonly position: string;
	readonly idleTimeoutMs: number;
}

/** What a relay tells all tabs. `relay` tells one from another: a tab listens to the last that led. */
export type Notice =
	/** Another relay takes over: forget the one before. */
	| { readonly kind: "lead"; readonly relay: string }
	/** The answer to `join` and `ping`; without a head no stream is open. */
	| {
			readonly kind: "state";
			readonly relay: string;
			readonly position: string;
			readonly head: Head | undefined;
	  }
	| {
			readonly kind: "open";
			readonly relay: string;
			readonly position: string;
			readonly head: Head;
	  }
	/** What came in one piece; nothing where it was a part of a block. */
	| {
			readonly kind: "entries";
			readonly relay: string;
			readonly entries: readonly Entry[];
	  }
	/** The answer was no stream. */
	| { readonly kind: "answer"; readonly relay: string; readonly head: Head; readonly body: string }
	/** There is no stream any more: it ended cleanly, failed, or was to be made anew at once. */
	| {
			readonly kind: "lost";
			readonly relay: string;
			readonly how: "ended" | "failed" | "restarted";
			readonly why: string;
	  }
	/** The relay's tab leaves; another will lead. */
	| { readonly kind: "bye"; readonly relay: string };

/** What a tab tells the relay. */
export type Call =
	/** Tells where the relay is; a tab that waits to be served says whether it is seen. */
	| { readonly kind: "join"; readonly seen: boolean }
	| { readonly kind: "ping" }
	/** Somebody called reconnect(). */
	| { readonly kind: "restart" };
