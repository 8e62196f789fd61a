import type { Call, Notice, PlainRequest } from "./messages.ts";
import { Pulse } from "./pulse.ts";
import { Relay } from "./relay.ts";
import { isSeen, type Line, type Tab } from "./tab.ts";

/** Of the messages: tabs that run another version of them do not share. */
const VERSION = 1;

type Message = { readonly call: Call } | { readonly notice: Notice };

/**
 * The tab that holds the lock has the relay; it tells the others over a BroadcastChannel. A
 * leader that closes, crashes or is left frees its lock, and the next in line leads. One that is
 * frozen keeps it: it is taken from it, and when the tab wakes, it finds that it leads no more.
 */
export class LocksLine implements Line {
	/** Of the lock and the channel. */
	#name = "";
	#channel: BroadcastChannel | undefined;
	#relay: Relay | undefined;
	/** Takes the tab out of the line for the lock. */
	#queued = new AbortController();
	#release: (() => void) | undefined;
	readonly #pulse = new Pulse(
		() => this.call({ kind: "ping" }),
		() => this.#queue({ steal: true }),
	);

	readonly #key: string;
	readonly #tab: Tab;
	readonly #fetch: typeof globalThis.fetch;
	readonly #onfail: () => void;

	/** @param onfail is called where locks are refused: to a sandboxed page, to one without storage */
	constructor(key: string, tab: Tab, fetch: typeof globalThis.fetch, onfail: () => void) {
		this.#key = key;
		this.#tab = tab;
		this.#fetch = fetch;
		this.#onfail = onfail;
	}

	get leads(): boolean {
		return this.#relay !== undefined;
	}

	start(): void {
		this.leave();
		this.#queued = new AbortController();
		void this.#enter(this.#queued.signal);
	}

	call(call: Call): void {
		if (this.#relay !== undefined) {
			this.#answer(this.#relay, call);
		} else {
			this.#send({ call });
		}
	}

	open({ url, init, position, idleTimeoutMs }: PlainRequest, signal: AbortSignal): void {
		const fetch = this.#fetch;
		void this.#relay?.open(position, idleTimeoutMs, signal, (signal) =>
			fetch(url, { ...init, signal }),
		);
	}

	leave(): void {
		this.#pulse.stop();
		this.#queued.abort();
		if (this.#relay !== undefined) {
			this.#send({ notice: { kind: "bye", relay: this.#relay.id } });
		}
		this.#stepDown();
		this.#channel?.close();
		this.#channel = undefined;
	}

	async #enter(signal: AbortSignal): Promise<void> {
		this.#name = `ringcast:${VERSION}:${await digest(this.#key)}`;
		if (signal.aborted) {
			return;
		}
		this.#channel = new BroadcastChannel(this.#name);
		this.#channel.onmessage = ({ data }: MessageEvent<Message>) => this.#receive(data);
		this.#queue();
		this.call({ kind: "join", seen: isSeen() });
		this.#pulse.start();
	}

	/** Stands in line for the lock, or takes it from a leader that is silent. */
	#queue(how: { steal?: true } = {}): void {
		this.#queued.abort();
		const queued = new AbortController();
		this.#queued = queued;
		const options = how.steal ? how : { signal: queued.signal }; // the two exclude each other
		const lead = () => (queued.signal.aborted ? undefined : this.#lead());
		navigator.locks.request(this.#name, options, lead).catch(({ name }) => {
			if (queued.signal.aborted) {
				return; // by leave(), which wants no more
			}
			this.#stepDown();
			if (name === "AbortError") {
				this.#queue(); // a tab took the lock from this one
				this.#pulse.start();
			} else {
				this.#onfail();
			}
		});
	}

	/** Holds the lock until the promise is settled. */
	#lead(): Promise<void> {
		this.#pulse.stop();
		const relay = new Relay((notice, privately) => {
			if (!privately) {
				this.#send({ notice });
			}
			this.#tab.receive(notice);
		});
		this.#relay = relay;
		this.#send({ notice: { kind: "lead", relay: relay.id } });
		this.#tab.lead(relay.id);
		return new Promise((resolve) => {
			this.#release = resolve;
		});
	}

	#stepDown(): void {
		this.#relay?.close();
		this.#relay = undefined;
		this.#release?.();
		this.#release = undefined;
	}

	#receive(message: Message): void {
		if ("call" in message) {
			if (this.#relay !== undefined) {
				this.#answer(this.#relay, message.call);
			}
			return;
		}
		this.#pulse.heard();
		if (message.notice.kind === "lead") {
			this.#relay?.close(); // the lock was taken from this tab, which is yet to be told
			this.#relay = undefined;
		}
		if (this.#relay === undefined) {
			this.#tab.receive(message.notice);
		}
	}

	#answer(relay: Relay, call: Call): void {
		if (call.kind === "restart") {
			relay.restart();
			return;
		}
		this.#send({ notice: relay.state() });
		if (call.kind === "join" && call.seen && !relay.busy) {
			this.#tab.hurry();
		}
	}

	#send(message: Message): void {
		this.#channel?.postMessage(message);
	}
}

/** What names a lock can be read by every page of the origin: no secret of the key is in it. */
async function digest(key: string): Promise<string> {
	const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
	return btoa(String.fromCharCode(...new Uint8Array(hash)));
}
