import { byId, setText } from "../common/dom.ts";
import { formatCount, formatTime, formatWhen, plural } from "../common/format.ts";
import type { View } from "../common/frame.ts";
import { sayPercent } from "./charts.ts";
import { percent } from "./rates.ts";
import type { RingStatus, Status } from "./status.ts";
import { formatBytes, formatSpan, timeOfId } from "./units.ts";

const NO_ANSWER = "The gateway has not answered since";

/** The ring, the connection to NATS, and the gateway itself, in words. */
export class GatewayView implements View {
	private status: Status | undefined;
	/** Why there is nothing newer; empty while there is. */
	private silence = "";

	/** Takes an answer. */
	show(status: Status): void {
		this.status = status;
		this.silence = "";
	}

	/** Notes that there was none, at a time by this page's clock. */
	noteSilence(time: number): void {
		if (!this.silence.startsWith(NO_ANSWER)) {
			this.silence = `${NO_ANSWER} ${formatTime(time)}. What is shown is from before.`;
		}
	}

	/** Notes that the gateway does not show its state, and why. */
	noteRefusal(why: string): void {
		this.silence = `The gateway does not show its state: ${why}.`;
	}

	render(): void {
		this.renderSilence();
		if (this.status !== undefined) {
			renderRing(this.status.ring);
			renderNats(this.status);
			renderFacts(this.status);
		}
	}

	private renderSilence(): void {
		const notice = byId("silence", HTMLElement);
		notice.hidden = this.silence === "";
		setText(notice, this.silence);
	}
}

function renderRing(ring: RingStatus): void {
	renderMeter("ring-events", ring.events, ring.max_events, formatCount);
	renderMeter("ring-bytes", ring.bytes, ring.max_bytes, formatBytes);
	renderBound("ring-oldest", ring.oldest);
	renderBound("ring-newest", ring.newest);
	const [oldest, newest] = [ring.oldest, ring.newest].map((id) => timeOfId(id ?? ""));
	const span = oldest === undefined || newest === undefined ? 0 : (newest - oldest) / 1000;
	setText(
		byId("ring-span", HTMLElement),
		`${formatSpan(span)}, at most ${formatSpan(ring.max_age_seconds)}`,
	);
	setText(byId("ring-file", HTMLElement), formatBytes(ring.file_bytes));
}

function renderMeter(id: string, now: number, most: number, format: (n: number) => string): void {
	const meter = byId(id, HTMLMeterElement);
	const fill = percent(now, most);
	const text = `${format(now)} of ${format(most)} (${sayPercent(fill)})`;
	setText(byId(`${id}-text`, HTMLElement), text);
	meter.value = fill;
	meter.setAttribute("aria-valuetext", text);
}

function renderBound(name: string, id: string | null): void {
	const time = timeOfId(id ?? "");
	setText(byId(name, HTMLElement), id ?? "none");
	setText(
		byId(`${name}-time`, HTMLElement),
		time === undefined ? "" : formatWhen(time, Date.now()),
	);
}

function renderNats({ nats }: Status): void {
	const ready = nats.connected && nats.caught_up && !nats.error;
	const state = !nats.connected ? "down" : ready ? "up" : "warn";
	const text = { up: "Connected", warn: "Catching up", down: "Not connected" }[state];
	byId("nats", HTMLElement).dataset["state"] = state;
	setText(
		byId("nats-state", HTMLElement),
		nats.error && nats.connected ? "Connected, failing" : text,
	);
	setText(byId("nats-url", HTMLElement), nats.url);
	setText(byId("nats-lag", HTMLElement), plural(nats.lag, "event"));
	const error = byId("nats-error", HTMLElement);
	error.hidden = !nats.error;
	setText(error, nats.error ?? "");
}

function renderFacts(status: Status): void {
	setText(byId("fact-stream", HTMLElement), status.stream);
	setText(byId("fact-subjects", HTMLElement), status.subjects.join(" "));
	const up = (Date.parse(status.time) - Date.parse(status.started)) / 1000;
	setText(byId("fact-up", HTMLElement), formatSpan(up));
	setText(byId("fact-version", HTMLElement), status.version);
}
