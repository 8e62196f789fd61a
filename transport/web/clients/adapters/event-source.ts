import type { OpenOptions, Report } from "../client.ts";

/** What the clients with EventSource's interface have in common. */
interface EventSourceLike {
	readonly readyState: number;
	addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
	close(): void;
}

const CLOSED = 2;

/** The headers that the options ask for. */
export function accepting({ accept }: OpenOptions): Record<string, string> {
	return accept === undefined ? {} : { Accept: accept };
}

/** Reports what a client with EventSource's interface does. */
export function listen(
	source: EventSourceLike,
	{ types }: OpenOptions,
	report: (report: Report) => void,
): () => void {
	source.addEventListener("open", () => report({ kind: "open" }));
	source.addEventListener("error", (event: Event & { message?: string }) => {
		report({ kind: "error", message: event.message ?? "" });
		if (source.readyState === CLOSED) {
			report({ kind: "closed" });
		}
	});
	for (const type of types) {
		source.addEventListener(type, ({ data, lastEventId }: MessageEvent<string>) => {
			report({ kind: "event", type, data, id: lastEventId });
		});
	}
	return () => source.close();
}
