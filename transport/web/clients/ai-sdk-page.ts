import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { RingcastChatTransport } from "./chat-transport.ts";

const query = new URLSearchParams(location.hash.slice(1));
const url = `${query.get("gateway")}/v1/ask/chat`;
const transport =
	query.get("transport") === "default"
		? new DefaultChatTransport<UIMessage>({ api: url })
		: new RingcastChatTransport(url, { storage: sessionStorage, retry: { baseMs: 100 } });

/** Every application keeps the messages that are whole in a place of its own. */
const KEPT = "messages";
const kept: UIMessage[] = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");

function textOf(message: UIMessage | undefined): string {
	return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}

function Chat() {
	const { messages, status, error, sendMessage, stop } = useChat({
		id: "one",
		messages: kept,
		transport,
		resume: true,
	});
	const question = messages.filter(({ role }) => role === "user");
	sessionStorage.setItem(KEPT, JSON.stringify(question.slice(-1)));
	const answer = messages.at(-1)?.role === "assistant" ? messages.at(-1) : undefined;
	const sources = answer?.parts.filter(({ type }) => type === "source-url") ?? [];
	return createElement(
		"main",
		null,
		createElement("button", {
			type: "button",
			id: "ask",
			onClick: () => sendMessage({ text: query.get("ask") ?? "" }),
		}),
		createElement("button", { type: "button", id: "stop", onClick: () => stop() }),
		createElement("p", { id: "status" }, status),
		createElement("p", { id: "error" }, error?.message),
		createElement("p", { id: "sources" }, sources.length),
		createElement("pre", { id: "text" }, textOf(answer)),
	);
}

createRoot(document.getElementById("root") as HTMLElement).render(createElement(Chat));
