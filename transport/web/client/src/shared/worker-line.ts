import type { Call, Notice, PlainRequest } from "./messages.ts";
import { Pulse } from "./pulse.ts";
import type { Line, Tab } from "./tab.ts";

/** What a tab tells the worker. */
export type ToWorker =
	/** The first word, and the first after `leave`. */
	| { readonly kind: "hello"; readonly key: string }
	| { readonly kind: "leave" }
	/** The tab's request, which is the relay's if the tab leads. */
	| { readonly kind: "request"; readonly request: PlainRequest }
	/** The tab no longer waits for the answer to its request. */
	| { readonly kind: "cancel" }
	| Call;

/** What the worker tells a tab. */
export type FromWorker =
	| Notice
	/** The tab leads from now on. */
	| { readonly kind: "yours"; readonly relay: string }
	/** Asks for one back. */
	| { readonly kind: "ping" }
	/** A tab that is seen waits for the request of this one. */
	| { readonly kind: "hurry" };

/** The relay is in a SharedWorker; the tab that leads gives it the request to make. */
export class WorkerLine implements Line {
	leads = false;
	readonly #port: MessagePort;
	readonly #pulse: Pulse;
	readonly #key: string;
	readonly #tab: Tab;
	/** Between `start` and `leave`. */
	#joined = false;
	/** The worker has spoken. */
	#lived = false;

	/** @param onfail is called when the worker is silent; `lived` tells whether it ever spoke */
	constructor(worker: SharedWorker, key: string, tab: Tab, onfail: (lived: boolean) => void) {
		this.#key = key;
		this.#tab = tab;
		this.#port = worker.port;
		this.#port.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
		const fail = () => this.#joined && onfail(this.#lived);
		this.#pulse = new Pulse(() => this.#post({ kind: "ping" }), fail);
		worker.onerror = fail;
	}

	start(): void {
		this.#joined = true;
		this.#post({ kind: "hello", key: this.#key });
		this.#pulse.start();
	}

	call(call: Call): void {
		this.#post(call);
	}

	open(request: PlainRequest, signal: AbortSignal): void {
		this.#post({ kind: "request", request });
		signal.addEventListener("abort", () => this.#post({ kind: "cancel" }));
	}

	leave(): void {
		this.#pulse.stop();
		this.#post({ kind: "leave" });
		this.leads = this.#joined = false;
	}

	#receive(message: FromWorker): void {
		if (!this.#joined) {
			return; // it was sent before the worker knew
		}
		this.#lived = true;
		this.#pulse.heard();
		switch (message.kind) {
			case "ping":
				this.#post(message);
				break;
			case "hurry":
				this.#tab.hurry();
				break;
			case "yours":
				this.leads = true;
				this.#tab.lead(message.relay);
				break;
			default:
				this.#tab.receive(message);
		}
	}

	/** Nothing of a tab that has left, which the worker would take for one that is back. */
	#post(message: ToWorker): void {
		if (this.#joined) {
			this.#port.postMessage(message);
		}
	}
}
