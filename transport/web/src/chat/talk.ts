import { type Answer, AskError, type AskOptions, ask, resumeAnswer } from "#client/ask";
import type { PageStorage } from "../common/storage.ts";
import { token } from "../common/token.ts";
import type { Conversation, Turn } from "./conversation.ts";
import { canGoOn } from "./failure.ts";
import { addReferences, readCount, readReferences } from "./info.ts";

/** The last part is the subject that workers listen for: ask.chat. */
const QUESTIONS = "v1/ask/chat";

/**
 * - `ready`: no answer is under way
 * - `asking`: a question is, and nothing has come
 * - `answering`: an answer comes
 * - `returning`: the connection is lost, and being asked for again
 */
export type Stage = "ready" | "asking" | "answering" | "returning";

export interface TalkListener {
	/** The stage, or the turns, are others. */
	onStage(): void;
	/** The last turn has changed. */
	onText(): void;
	onEnd(turn: Turn): void;
}

/** One answer at a time: that of the conversation's last turn. */
export class Talk {
	private answer: Answer | undefined;
	private current: Stage = "ready";

	constructor(
		private readonly conversation: Conversation,
		private readonly storage: PageStorage,
		private readonly listener: TalkListener,
	) {}

	get stage(): Stage {
		return this.current;
	}

	/** The text of the last turn, as far as it has come. */
	get text(): string {
		return this.conversation.last?.text ?? this.answer?.text ?? "";
	}

	/** What has come of an answer that was not gone on with stays. */
	ask(question: string): void {
		const { last } = this.conversation;
		if (last !== undefined) {
			last.text = this.text;
		}
		this.begin(this.conversation.ask(question));
	}

	/** Asks the last question again; what cannot be wrong with the question goes on instead. */
	again(): void {
		const { last } = this.conversation;
		if (last?.failure !== undefined && last.text === undefined) {
			void this.goOn();
		} else {
			this.leave();
			const turn = this.conversation.askAgain();
			if (turn !== undefined) {
				this.begin(turn);
			}
		}
	}

	/** Goes on with the answer of an earlier visit to the page, where that was left in one. */
	async goOn(): Promise<void> {
		const { last } = this.conversation;
		if (last === undefined || last.text !== undefined) {
			return;
		}
		const { text } = this;
		this.leave(); // a stop of it may have wanted a token
		const answer = await resumeAnswer(QUESTIONS, this.options(last));
		last.failure = undefined;
		if (answer !== null) {
			last.resumes++;
			this.conversation.save();
			this.follow(last, answer);
		} else {
			last.text = text;
			last.failure = { reason: "forgotten", detail: "" };
			this.conversation.save();
			this.setStage("ready");
		}
	}

	/** Has the worker stop. What it says last still comes. */
	stop(): void {
		const { last } = this.conversation;
		if (last !== undefined && this.current !== "ready") {
			last.stopped = true;
			void this.answer?.stop().catch(() => {
				last.stopped = false; // the answer goes on, and the button is there again
				this.listener.onStage();
			});
			this.listener.onStage();
		}
	}

	/** Leaves everything. */
	clear(): void {
		if (this.current !== "ready") {
			void this.answer?.stop().catch(() => {});
		}
		this.leave();
		this.conversation.clear();
		this.setStage("ready");
	}

	private leave(): void {
		this.answer?.close();
		this.answer = undefined;
	}

	private begin(turn: Turn): void {
		const messages = this.conversation.messages();
		this.follow(turn, ask(QUESTIONS, { messages }, this.options(turn)));
	}

	private follow(turn: Turn, answer: Answer): void {
		this.answer = answer;
		this.setStage("asking");
		answer.done.then(
			({ text }) => this.ended(turn, answer, text),
			(error) => this.ended(turn, answer, answer.text, error),
		);
	}

	private options(turn: Turn): AskOptions & Required<Pick<AskOptions, "storage">> {
		let opened = false;
		return {
			fetch: token.fetch,
			storage: this.storage,
			storageKey: "ringcast:chat:answer",
			retry: { maxAttempts: Number.POSITIVE_INFINITY },
			onopen: () => {
				turn.resumes += opened ? 1 : 0;
				opened = true;
				this.setStage("answering");
			},
			onretry: () => this.setStage("returning"),
			onevent: ({ type, json }) => {
				if (type === "info") {
					this.takeInfo(turn, json);
				}
			},
			ontext: () => this.listener.onText(),
		};
	}

	/** Most say nothing that is kept: a worker may tell of its progress. */
	private takeInfo(turn: Turn, info: unknown): void {
		const [references, count] = [readReferences(info), readCount(info)];
		if (references.length > 0 || count !== undefined) {
			turn.references = addReferences(turn.references, references);
			turn.count = count ?? turn.count;
			this.conversation.save();
			this.listener.onText();
		}
	}

	private ended(turn: Turn, answer: Answer, text: string, error?: unknown): void {
		if (answer !== this.answer) {
			return; // another took its place
		}
		const { reason, detail } = error instanceof AskError ? error : { reason: "", detail: "" };
		const isWanted = error === undefined || (reason === "stopped" && turn.stopped);
		turn.failure = isWanted ? undefined : { reason, detail };
		if (turn.failure === undefined || !canGoOn(turn.failure)) {
			turn.text = text;
		}
		this.conversation.save();
		this.setStage("ready");
		this.listener.onEnd(turn);
	}

	private setStage(stage: Stage): void {
		this.current = stage;
		this.listener.onStage();
	}
}
