import type { Notice } from "./shared/messages.ts";
import { Pulse } from "./shared/pulse.ts";
import { Relay } from "./shared/relay.ts";
import type { FromWorker, ToWorker } from "./shared/worker-line.ts";

/** The tabs of one stream. The first that came leads: its requests are made, and no other's. */
class Party {
	readonly #relay: Relay;
	readonly #tabs = new Map<MessagePort, Pulse>();
	#leader: MessagePort | undefined;
	/** Gives up the leader's request, as long as it was not answered. */
	#request = new AbortController();

	readonly #onempty: () => void;

	/** @param onempty is called when the last tab has left */
	constructor(onempty: () => void) {
		this.#onempty = onempty;

		this.#relay = new Relay((notice, privately) => this.#post(notice, privately));
	}

	receive(port: MessagePort, message: ToWorker): void {
		if (message.kind === "leave") {
			this.#drop(port);
			return;
		}
		this.#admit(port).heard(); // also one that was taken for dead
		switch (message.kind) {
			case "hello":
			case "ping":
				tell(port, this.#relay.state());
				break;
			case "join":
				tell(port, this.#relay.state());
				if (message.seen && !this.#relay.busy && this.#leader !== undefined) {
					tell(this.#leader, { kind: "hurry" });
				}
				break;
			case "restart":
				this.#relay.restart();
				break;
			case "request":
				if (port === this.#leader) {
					this.#request = new AbortController();
					const { url, init, position, idleTimeoutMs } = message.request;
					void this.#relay.open(position, idleTimeoutMs, this.#request.signal, (signal) =>
						fetch(url, { ...init, signal }),
					);
				}
				break;
			case "cancel":
				if (port === this.#leader) {
					this.#request.abort();
				}
				break;
		}
		this.#appoint();
	}

	#admit(port: MessagePort): Pulse {
		let pulse = this.#tabs.get(port);
		if (pulse === undefined) {
			pulse = new Pulse(
				() => tell(port, { kind: "ping" }),
				() => this.#drop(port), // crashed, or frozen: what is sent would pile up before it
			);
			pulse.start();
			this.#tabs.set(port, pulse);
		}
		return pulse;
	}

	#drop(port: MessagePort): void {
		this.#tabs.get(port)?.stop();
		this.#tabs.delete(port);
		if (this.#leader === port) {
			this.#leader = undefined;
			this.#request.abort();
			this.#appoint();
		}
		if (this.#tabs.size === 0) {
			this.#relay.close();
			this.#onempty();
		}
	}

	#appoint(): void {
		if (this.#leader === undefined) {
			const [first] = this.#tabs.keys();
			this.#leader = first;
			if (first !== undefined) {
				tell(first, { kind: "yours", relay: this.#relay.id });
			}
		}
	}

	#post(notice: Notice, privately = false): void {
		for (const port of this.#tabs.keys()) {
			if (!privately || port === this.#leader) {
				tell(port, notice);
			}
		}
	}
}

function tell(port: MessagePort, message: FromWorker): void {
	port.postMessage(message);
}

const parties = new Map<string, Party>();

function connect(port: MessagePort): void {
	let key: string | undefined;
	port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
		if (data.kind === "hello") {
			key = data.key;
		}
		if (key !== undefined) {
			party(key).receive(port, data);
		}
	};
}

function party(key: string): Party {
	const known = parties.get(key) ?? new Party(() => parties.delete(key));
	parties.set(key, known);
	return known;
}

addEventListener("connect", (event) => {
	const [port] = (event as MessageEvent).ports;
	if (port !== undefined) {
		connect(port);
	}
});
