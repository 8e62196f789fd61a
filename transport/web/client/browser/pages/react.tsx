import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { StreamEvent } from "../../src/index.ts";
import { useEventStream } from "../../src/react.ts";
import { createSharedEventStream } from "../../src/shared.ts";

export interface Props {
	readonly url: string | null;
	readonly subjects?: string;
	readonly from?: string;
	readonly enabled?: boolean;
	readonly limit?: number;
	/** Marks the render whose callback is called. */
	readonly mark?: string;
	/** Shares the connection with other tabs. */
	readonly shared?: boolean;
}

declare global {
	interface Window {
		/** Renders the component with these props. */
		show(props: Props): void;
		unmount(): void;
		/** Renders of the component that were committed, or tried; two each in StrictMode. */
		renders: number;
		/** What the callback got: the mark of its render, and the data. */
		called: string[];
		/** Calls of fetch. */
		requests: number;
		reconnectStream(): void;
		closeStream(): void;
	}
}

window.renders = 0;
window.called = [];
window.requests = 0;
const root = createRoot(document.getElementById("root") as HTMLElement);

window.show = (props) =>
	root.render(
		<StrictMode>
			<Feed {...props} />
		</StrictMode>,
	);
window.unmount = () => root.unmount();

function Feed({
	url,
	subjects = "events.react.>",
	from = "now",
	enabled = true,
	limit,
	mark,
	shared = false,
}: Props) {
	window.renders++;
	const feed = useEventStream(url, {
		subjects: [subjects],
		from,
		enabled,
		...(limit !== undefined && { limit }),
		...(shared && { create: createSharedEventStream }),
		headers: () => ({ Authorization: `Bearer ${mark}` }),
		retry: { baseMs: 50 },
		fetch: (...args) => {
			window.requests++;
			return fetch(...args);
		},
		onmessage: ({ data }: StreamEvent) => window.called.push(`${mark} ${data}`),
		reduce: (count: number) => count + 1,
		initial: 0,
	});
	window.reconnectStream = feed.reconnect;
	window.closeStream = feed.close;
	return (
		<>
			<p id="status">{feed.status}</p>
			<p id="error">{feed.error?.message}</p>
			<p id="count">{feed.state}</p>
			<p id="last">{feed.lastEvent?.data}</p>
			<p id="events">{feed.events.map((event) => event.data).join(" ")}</p>
		</>
	);
}
