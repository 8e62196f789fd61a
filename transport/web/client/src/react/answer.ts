import { useEffect, useInsertionEffect, useState, useSyncExternalStore } from "react";
import { type Answer, ask, resumeAnswer } from "../ask/answer.ts";
import { AskError } from "../ask/error.ts";
import type { AskOptions } from "../ask/options.ts";
import { GAP_TYPE } from "../gap.ts";
import type { StreamStorage } from "../options.ts";
import { onFrame } from "./frame.ts";

/**
 * Those of `ask`; with `storage` the component goes on with the answer of an earlier visit, without
 * it with that of an earlier effect: React may leave and enter a component whose state it keeps.
 */
export interface UseAnswerOptions extends Omit<AskOptions, "signal"> {}

export interface AnswerView {
	/**
	 * - `idle`: nothing was asked
	 * - `asking`: a question was, and its answer has not begun, or is to be gone on with
	 * - `answering`: the answer comes
	 * - `finished`: it is whole
	 * - `failed`: it is not, and `error` says why
	 */
	readonly status: "idle" | "asking" | "answering" | "finished" | "failed";
	readonly text: string;
	/** The data of `info` events since the page was opened. As with the text, the gateway bounds them. */
	readonly infos: readonly unknown[];
	/** The data of `finish`. */
	readonly finish: unknown;
	readonly error: AskError | undefined;
}

export interface UseAnswerResult extends AnswerView {
	/** Asks; leaves the answer before it. */
	readonly ask: (body: unknown) => void;
	/** Asks the last question of this visit again. */
	readonly regenerate: () => void;
	/** Has the worker stop; `failed` with the reason `stopped` where it says so. */
	readonly stop: () => void;
}

const IDLE: AnswerView = {
	status: "idle",
	text: "",
	infos: [],
	finish: undefined,
	error: undefined,
};

/**
 * Asks, and shows one answer. It renders once a frame at most, however many pieces come. The options
 * are those of the render before the question. Unmounted, it leaves the answer and stops nothing.
 */
export function useAnswer(url: string | URL, options: UseAnswerOptions = {}): UseAnswerResult {
	const [store] = useState(() => new Store());
	useInsertionEffect(() => {
		store.url = String(url);
		store.options = options;
	});
	const view = useSyncExternalStore(store.subscribe, store.snapshot, () => IDLE);
	useEffect(() => {
		void store.resume();
		return () => store.leave();
	}, [store]);
	const { ask, regenerate, stop } = store;
	return { ...view, ask, regenerate, stop };
}

class Store {
	/** Of the last render that was committed. */
	url = "";
	options: UseAnswerOptions = {};

	#shown = IDLE;
	#next = IDLE;
	/** Copied for a frame, so that an event costs no copy. */
	#infos: unknown[] = [];
	#answer: Answer | undefined;
	#question: { readonly body: unknown } | undefined;
	#kept = "";
	readonly #memory: StreamStorage = {
		getItem: () => this.#kept,
		setItem: (_, record) => {
			this.#kept = record;
		},
	};
	/** What calls back is of this run, or of none any more. */
	#run = 0;
	#cancelFrame: (() => void) | undefined;
	readonly #listeners = new Set<() => void>();

	readonly subscribe = (listener: () => void): (() => void) => {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	};

	readonly snapshot = (): AnswerView => this.#shown;

	readonly ask = (body: unknown): void => {
		this.leave();
		this.#question = { body };
		this.#infos = [];
		this.#change(IDLE); // also where the body is no JSON, which throws
		this.#follow(ask(this.url, body, this.#askOptions()));
	};

	readonly regenerate = (): void => {
		if (this.#question !== undefined) {
			this.ask(this.#question.body);
		}
	};

	readonly stop = (): void => void this.#answer?.stop();

	/** Goes on with the answer of an earlier visit, where there is one and nothing was asked since. */
	async resume(): Promise<void> {
		const run = this.#run;
		const answer = await resumeAnswer(this.url, this.#askOptions());
		if (run !== this.#run) {
			answer?.close();
		} else if (answer !== null) {
			this.#follow(answer);
		} else if (["asking", "answering"].includes(this.#next.status)) {
			this.#change({ status: "failed", error: new AskError("closed", "it was not kept") });
		}
	}

	leave(): void {
		this.#run++;
		this.#answer?.close();
		this.#answer = undefined;
	}

	#follow(answer: Answer): void {
		const run = this.#run;
		const change = (changed: Partial<AnswerView>) => run === this.#run && this.#change(changed);
		this.#answer = answer;
		change({ status: "asking", text: answer.text, finish: undefined, error: undefined });
		answer.done.then(
			({ text, finish }) => change({ status: "finished", text, finish }),
			(error) => change({ status: "failed", error }),
		);
	}

	#askOptions(): AskOptions & { storage: StreamStorage } {
		const { options } = this;
		const run = this.#run;
		return {
			...options,
			storage: options.storage ?? this.#memory,
			onevent: (event) => {
				if (run === this.#run) {
					if (event.type === "info") {
						this.#infos.push(event.json);
					} else if (event.type === GAP_TYPE) {
						this.#infos = []; // they come again
						this.#change({ infos: IDLE.infos });
					}
					this.#change({ status: "answering" });
					options.onevent?.(event);
				}
			},
			ontext: (text, added) => {
				if (run === this.#run) {
					this.#change({ text });
					options.ontext?.(text, added);
				}
			},
		};
	}

	#change(changed: Partial<AnswerView>): void {
		this.#next = { ...this.#next, ...changed };
		this.#cancelFrame ??= onFrame(() => this.#publish());
	}

	#publish(): void {
		this.#cancelFrame?.();
		this.#cancelFrame = undefined;
		if (this.#infos.length > this.#next.infos.length) {
			this.#next = { ...this.#next, infos: [...this.#infos] };
		}
		this.#shown = this.#next;
		for (const listener of this.#listeners) {
			listener();
		}
	}
}
