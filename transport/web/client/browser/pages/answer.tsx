import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useAnswer } from "../../src/react.ts";

declare global {
	interface Window {
		ask(question: string): void;
		regenerate(): void;
		stop(): void;
	}
}

const url = decodeURIComponent(location.hash.slice(1));

function Chat() {
	const { status, text, infos, finish, error, ask, regenerate, stop } = useAnswer(url, {
		storage: sessionStorage,
		retry: { baseMs: 100 },
	});
	window.ask = (content) => ask({ messages: [{ role: "user", content }] });
	Object.assign(window, { regenerate, stop });
	return (
		<>
			<p id="status">{status}</p>
			<p id="infos">{infos.length}</p>
			<p id="finish">{JSON.stringify(finish)}</p>
			<p id="error">{error?.reason}</p>
			<pre id="text">{text}</pre>
		</>
	);
}

createRoot(document.getElementById("root") as HTMLElement).render(
	<StrictMode>
		<Chat />
	</StrictMode>,
);
