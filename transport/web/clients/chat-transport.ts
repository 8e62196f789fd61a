import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import {
	type Answer,
	type AnswerEvent,
	type AskOptions,
	ask,
	resumeAnswer,
} from "../client/src/ask.ts";

type Chunks = ReadableStream<UIMessageChunk>;
type Storing = AskOptions & Required<Pick<AskOptions, "storage">>;

/**
 * Has `useChat` of the Vercel AI SDK ask a Ringcast gateway. `resume: true` goes on with an answer after
 * a reload, `stop()` has the worker stop.
 */
export class RingcastChatTransport implements ChatTransport<UIMessage> {
	/** A resumed answer comes with its text from the beginning. */
	readonly resumeStreamIsReplay = true;

	constructor(
		private readonly url: string,
		private readonly options: Storing,
	) {}

	readonly sendMessages: ChatTransport<UIMessage>["sendMessages"] = async (request) => {
		const messages = request.messages.map(({ role, parts }) => ({
			role,
			content: parts.map((part) => (part.type === "text" ? part.text : "")).join(""),
		}));
		const begin = async (options: Storing) => ask(this.url, { messages }, options);
		return (await this.follow(request.chatId, request.abortSignal, begin)) as Chunks;
	};

	readonly reconnectToStream: ChatTransport<UIMessage>["reconnectToStream"] = (request) =>
		this.follow(request.chatId, request.abortSignal, (options) => resumeAnswer(this.url, options));

	private async follow(
		chat: string,
		signal: AbortSignal | undefined,
		begin: (options: Storing) => Promise<Answer | null>,
	): Promise<Chunks | null> {
		let out: ReadableStreamDefaultController<UIMessageChunk> | undefined;
		const chunks: Chunks = new ReadableStream({
			start: (controller) => {
				out = controller;
			},
			cancel: () => {
				out = undefined; // the answer is followed to its end all the same
			},
		});
		const answer = await begin({
			...this.options,
			storageKey: `chat:${chat}`,
			onevent: (event) => {
				for (const chunk of chunksOf(event)) {
					out?.enqueue(chunk);
				}
			},
		});
		if (answer === null) {
			return null;
		}
		out?.enqueue({ type: "start" });
		out?.enqueue({ type: "text-start", id: "text" });
		out?.enqueue({ type: "text-delta", id: "text", delta: answer.text });
		signal?.addEventListener("abort", () => void answer.stop());
		answer.done
			.then(
				() => [{ type: "text-end", id: "text" } as const, { type: "finish" } as const],
				(error) => [{ type: "error", errorText: String(error.message) } as const],
			)
			.then((last) => {
				for (const chunk of last) {
					out?.enqueue(chunk);
				}
				out?.close();
			});
		return chunks;
	}
}

function chunksOf({ type, data, json, id }: AnswerEvent): UIMessageChunk[] {
	if (type === "add") {
		return [{ type: "text-delta", id: "text", delta: data }];
	}
	if (type === "ringcast.gap") {
		return [{ type: "error", errorText: "a part of the answer is gone" }];
	}
	const { references = [] } = Object(type === "info" ? json : {});
	return references.map(({ title, url }: { title: string; url: string }) => {
		return { type: "source-url", sourceId: `${id} ${url}`, url, title };
	});
}
