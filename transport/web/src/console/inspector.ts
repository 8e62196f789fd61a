import { byId, setText } from "../common/dom.ts";
import { type ConsoleEvent, type Payload, readable } from "./event.ts";
import { hexDump } from "./hex.ts";
import { formatBytes } from "./units.ts";

/** What is shown of a payload at most: the browser would take its time with more. */
const MAX_TEXT = 200_000;
const MAX_DUMP = 4_096;

const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "long" });

/** One event, whole. */
export class Inspector {
	private readonly panel = byId("inspector", HTMLElement);
	private shown: ConsoleEvent | undefined;

	/**
	 * @param onResume is told of an id to resume after
	 * @param onClose is told when it was closed
	 */
	constructor(
		onResume: (id: string) => void,
		private readonly onClose: () => void,
	) {
		byId("inspector-close", HTMLElement).addEventListener("click", () => this.close());
		byId("inspector-resume", HTMLElement).addEventListener("click", () => {
			if (this.shown !== undefined) {
				onResume(this.shown.id);
			}
		});
	}

	get isOpen(): boolean {
		return this.shown !== undefined;
	}

	show(event: ConsoleEvent): void {
		if (this.shown === event) {
			return;
		}
		this.open(event);
		const set = (name: string, text: string) => setText(byId(`event-${name}`, HTMLElement), text);
		set("id", event.id);
		set("subject", event.subject);
		set("type", event.type);
		set("time", event.time === "" ? "not known" : full.format(Date.parse(event.time)));
		set("size", `${formatBytes(event.payload.size)}, ${nameOf(event.payload)}`);
		const [text, cut] = shownOf(event.payload);
		set("data", text);
		set("cut", cut);
		byId("event-data", HTMLElement).scrollTop = 0;
	}

	close(): void {
		this.open(undefined);
		this.onClose();
	}

	private open(event: ConsoleEvent | undefined): void {
		this.shown = event;
		const closed = event === undefined;
		this.panel.dataset["open"] = String(!closed);
		for (const id of ["inspector-event", "inspector-resume", "inspector-close"]) {
			byId(id, HTMLElement).hidden = closed;
		}
		byId("inspector-none", HTMLElement).hidden = !closed;
	}
}

function nameOf(payload: Payload): string {
	if (payload.size === 0) {
		return "no data";
	}
	// CloudEvents carries JSON as a value.
	return { json: "JSON without its white space", text: "text", binary: "binary" }[payload.kind];
}

/** What is shown of a payload, and what it says where that is not all. */
function shownOf(payload: Payload): [text: string, cut: string] {
	if (payload.kind === "binary") {
		const dump = hexDump(payload.bytes.subarray(0, MAX_DUMP));
		return [dump, payload.size > MAX_DUMP ? `The first ${formatBytes(MAX_DUMP)} are shown.` : ""];
	}
	if (payload.text.length > MAX_TEXT) {
		return [
			payload.text.slice(0, MAX_TEXT),
			`The first ${MAX_TEXT / 1000},000 characters are shown.`,
		];
	}
	return [readable(payload), ""];
}
