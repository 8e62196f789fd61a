import type { Question } from "./question.ts";

export interface ServeOptions {
	/** Which questions are taken: those of `POST /v1/ask/{subject}`. It may have wildcards. */
	readonly subject: string;
	/** The group of workers that share them. Default: `workers`. */
	readonly queue?: string;
	/** How many answers are given at a time; questions beyond it are refused with 503. Default: 64. */
	readonly concurrency?: number;
	/**
	 * Called before a question is accepted. Throwing a Refusal refuses it as that says,
	 * throwing anything else with 500.
	 */
	readonly check?: (question: Question) => void | Promise<void>;
	/** How long answers may go on after `stop()`. Default: 20,000 ms. */
	readonly graceMs?: number;
	/**
	 * Stores each piece of text as an event of its own. By default those that come while an
	 * event is under way are one event: the same text in fewer.
	 */
	readonly separate?: boolean;
	/** How many characters of an answer wait at most to be stored. Default: 262,144. */
	readonly buffer?: number;
	/** How long an event is tried to be stored, until its answer is given up. Default: 30,000 ms. */
	readonly patienceMs?: number;
	/** Told what goes wrong with an answer. Default: `console.error`. */
	readonly onerror?: (error: unknown, question?: Question) => void;
}

/** Options with their defaults. */
export type Settings = Required<ServeOptions>;

export function withDefaults(options: ServeOptions): Settings {
	const settings: Settings = {
		queue: "workers",
		concurrency: 64,
		check: () => {},
		graceMs: 20_000,
		separate: false,
		buffer: 1 << 18,
		patienceMs: 30_000,
		onerror: (error) => console.error("ringcast worker:", error),
		...options,
	};
	if (settings.subject === "") {
		throw new TypeError("subject is empty");
	}
	for (const name of ["concurrency", "graceMs", "buffer", "patienceMs"] as const) {
		if (!(settings[name] >= (name === "graceMs" ? 0 : 1))) {
			throw new RangeError(`${name} is ${settings[name]}`);
		}
	}
	return { ...settings, onerror: guarded(settings.onerror) };
}

/** What is told of an answer must not end it, nor all others with the process. */
function guarded(onerror: Settings["onerror"]): Settings["onerror"] {
	return (error, question) => {
		try {
			onerror(error, question);
		} catch (thrown) {
			console.error("ringcast worker: onerror:", thrown);
		}
	};
}
