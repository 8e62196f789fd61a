import { byId, setText } from "./dom.ts";
import type { Link } from "./link.ts";

const PAUSE_MS = 5_000;

/** The page's two buttons that cut its connection: until the next click, and for 5 s. */
export class CutButtons {
	private readonly toggle = byId("toggle", HTMLButtonElement);
	private readonly pause = byId("pause", HTMLButtonElement);
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(private readonly link: Link) {
		this.toggle.addEventListener("click", () => this.toggled());
		this.pause.addEventListener("click", () => {
			link.drop();
			this.timer = setTimeout(() => link.open(), PAUSE_MS);
		});
	}

	/** Shows what they would do in the link's state. */
	show(): void {
		setText(this.toggle, this.isClosed ? "Reconnect" : "Drop the connection");
		this.pause.disabled = this.isClosed;
	}

	private toggled(): void {
		clearTimeout(this.timer);
		if (this.isClosed) {
			this.link.open();
		} else {
			this.link.drop();
		}
	}

	private get isClosed(): boolean {
		return this.link.state === "dropped" || this.link.state === "refused";
	}
}
