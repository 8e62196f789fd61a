import { Activity, StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { useAnswer } from "../../src/react.ts";

declare global {
	interface Window {
		/** Renders the component, which asks when it is mounted if there is a question. */
		enter(props: Shown): void;
		ask(question: unknown): void;
		/** Has the worker say an event, which whoever follows the answer gets. */
		say(type: string, data: string): void;
		/** Tells whoever follows the answer of a gap. */
		gap(): void;
		/** The methods of the requests. */
		methods: string[];
	}
}

interface Shown {
	readonly mode: "visible" | "hidden";
	readonly question?: string;
}

/** The answer so far, as a gateway has it. */
const log: string[] = [];
const readers = new Set<ReadableStreamDefaultController<Uint8Array>>();
const encoder = new TextEncoder();

function send(block: string): void {
	for (const reader of readers) {
		reader.enqueue(encoder.encode(block));
	}
}

window.methods = [];
window.say = (type, data) => {
	const n = log.length + 1;
	log.push(`event: ${type}\ndata: ${JSON.stringify({ data })}\nid: ${n}-x\n\n`);
	send(log.at(-1) as string);
};
window.gap = () => send('event: ringcast.gap\ndata: {"reason":"expired"}\nid: 1-x\n\n');

const answer: typeof fetch = async (_, { method = "GET", headers, signal } = {}) => {
	signal?.throwIfAborted();
	window.methods.push(method);
	let reader: ReadableStreamDefaultController<Uint8Array>;
	const after = Number.parseInt(new Headers(headers).get("Last-Event-ID") ?? "0", 10);
	const body = new ReadableStream<Uint8Array>({
		start: (controller) => {
			reader = controller;
			reader.enqueue(encoder.encode(`:\n${log.slice(after).join("")}`));
			readers.add(reader);
		},
		cancel: () => void readers.delete(reader),
	});
	const type = { "Content-Type": "text/event-stream", "Ringcast-Ask-Id": "a" };
	return new Response(body, { headers: type });
};

function Chat({ question }: { readonly question: string | undefined }) {
	const { status, text, infos, error, ask } = useAnswer("/v1/ask/chat", { fetch: answer });
	window.ask = ask;
	useEffect(() => {
		if (question !== undefined) {
			ask(question);
		}
	}, [ask, question]);
	return (
		<>
			<p id="status">{status}</p>
			<p id="infos">{JSON.stringify(infos)}</p>
			<p id="error">{error?.reason}</p>
			<pre id="text">{text}</pre>
		</>
	);
}

const root = createRoot(document.getElementById("root") as HTMLElement);
window.enter = ({ mode, question }) =>
	root.render(
		<StrictMode>
			<Activity mode={mode}>
				<Chat question={question} />
			</Activity>
		</StrictMode>,
	);
