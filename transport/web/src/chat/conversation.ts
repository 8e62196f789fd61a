import type { PageStorage } from "../common/storage.ts";
import { type Count, type Reference, readCount, readReferences } from "./info.ts";

/** What is said of a failed answer; see "What goes wrong" in PROTOCOL.md. */
export interface Failure {
	readonly reason: string;
	readonly detail: string;
}

/** A question with its answer. */
export interface Turn {
	readonly question: string;
	/** Undefined while the answer comes: its text is with it. */
	text: string | undefined;
	references: readonly Reference[];
	/** What the worker has counted of the whole text, as far as it has. */
	count: Count | undefined;
	/** How often the answer went on after a cut, or after a reload of the page. */
	resumes: number;
	/** Where it is not whole. */
	failure: Failure | undefined;
	/** The reader has had it stop. */
	stopped: boolean;
}

/** As workers are told the conversation so far. */
export interface Message {
	readonly role: "user" | "assistant";
	readonly content: string;
}

/** How many turns are kept and sent. */
export const MOST_TURNS = 50;

const KEY = "ringcast:chat";

/** The turns of this tab, oldest first, kept over a reload. */
export class Conversation {
	readonly turns: Turn[];

	constructor(private readonly storage: PageStorage) {
		this.turns = readTurns(storage.getItem(KEY) ?? "");
	}

	get last(): Turn | undefined {
		return this.turns.at(-1);
	}

	/** Begins a turn. */
	ask(question: string): Turn {
		const turn = newTurn(question);
		this.turns.push(turn);
		this.turns.splice(0, this.turns.length - MOST_TURNS);
		this.save();
		return turn;
	}

	/** Begins the last turn anew. */
	askAgain(): Turn | undefined {
		const { last } = this;
		this.turns.pop();
		return last && this.ask(last.question);
	}

	clear(): void {
		this.turns.length = 0;
		this.save();
	}

	/** What the last question is asked with: all that was said before. */
	messages(): Message[] {
		return this.turns.flatMap(({ question, text }): Message[] => [
			{ role: "user", content: question },
			...(text ? [{ role: "assistant", content: text } as const] : []),
		]);
	}

	/** Keeps the turns. What does not fit is not kept, the oldest first. */
	save(): void {
		for (let from = 0; from <= this.turns.length; from++) {
			try {
				this.storage.setItem(KEY, JSON.stringify(this.turns.slice(from)));
				return;
			} catch {
				// the browser's storage is full
			}
		}
	}
}

function newTurn(question: string): Turn {
	return {
		question,
		text: undefined,
		references: [],
		count: undefined,
		resumes: 0,
		failure: undefined,
		stopped: false,
	};
}

/** Reads what was kept; what is not ours is nothing. */
function readTurns(kept: string): Turn[] {
	let turns: unknown;
	try {
		turns = JSON.parse(kept);
	} catch {
		return [];
	}
	return Array.isArray(turns) ? turns.flatMap(readTurn) : [];
}

function readTurn(value: unknown): Turn[] {
	const { question, text, references, count, resumes, failure, stopped } = Object(value) as Partial<
		Record<keyof Turn, unknown>
	>;
	if (typeof question !== "string") {
		return [];
	}
	const { reason, detail } = Object(failure) as Partial<Record<keyof Failure, unknown>>;
	const turn = newTurn(question);
	turn.text = typeof text === "string" ? text : undefined;
	turn.references = readReferences({ references });
	turn.count = readCount(count);
	turn.resumes = typeof resumes === "number" ? resumes : 0;
	turn.failure = typeof reason === "string" ? { reason, detail: String(detail ?? "") } : undefined;
	turn.stopped = stopped === true;
	return [turn];
}
