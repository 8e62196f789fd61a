import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EventStream, type Gap, parseGap, type StreamEvent, type StreamState } from "./stream.ts";

/** An EventSource whose server is the test. */
class FakeSource extends EventTarget {
	readonly CLOSED = 2;
	readyState = 0;

	constructor(readonly url: URL) {
		super();
	}

	open(): void {
		this.readyState = 1;
		this.dispatchEvent(new Event("open"));
	}

	send(lastEventId: string, data: string, type = "message"): void {
		this.dispatchEvent(Object.assign(new Event(type), { lastEventId, data }));
	}

	/** Loses the connection; the browser tries again by itself. */
	lose(): void {
		this.readyState = 0;
		this.dispatchEvent(new Event("error"));
	}

	/** Answers with something other than a stream. */
	refuse(): void {
		this.readyState = this.CLOSED;
		this.dispatchEvent(new Event("error"));
	}

	close(): void {
		this.readyState = this.CLOSED;
	}
}

/** A stream over fake sources, with all that it reported. */
class Trial {
	readonly sources: FakeSource[] = [];
	readonly states: StreamState[] = [];
	readonly events: StreamEvent[] = [];
	readonly gaps: Gap[] = [];
	refusals = 0;

	readonly stream = new EventStream({
		url: (after) => new URL(`http://gateway.test/?after=${after ?? ""}`),
		types: ["notification"],
		listener: {
			onState: (state) => this.states.push(state),
			onEvent: (event) => this.events.push(event),
			onGap: (gap) => this.gaps.push(gap),
			onRefused: () => this.refusals++,
		},
		connect: (url) => {
			this.sources.push(new FakeSource(url));
			return this.source as unknown as EventSource;
		},
	});

	/** The newest source. */
	get source(): FakeSource {
		return this.sources.at(-1) as FakeSource;
	}

	get after(): string | null {
		return this.source.url.searchParams.get("after");
	}
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("events with and without a name are reported, in order", () => {
	const t = new Trial();
	t.stream.open();
	t.source.open();
	t.source.send("1-a", "one");
	t.source.send("2-b", "two", "notification");
	expect(t.events).toEqual([
		{ id: "1-a", type: "message", data: "one" },
		{ id: "2-b", type: "notification", data: "two" },
	]);
	expect(t.states).toEqual(["connecting", "live"]);
});

test("a drop by the user resumes after the last id", () => {
	const t = new Trial();
	t.stream.open();
	expect(t.after).toBe("");
	t.source.open();
	t.source.send("7-a", "");
	t.stream.drop();
	expect(t.source.readyState).toBe(t.source.CLOSED);
	t.stream.open();
	expect(t.after).toBe("7-a");
	expect(t.states).toEqual(["connecting", "live", "dropped", "connecting"]);
});

test("a lost connection is left to the browser", () => {
	const t = new Trial();
	t.stream.open();
	t.source.open();
	t.source.lose();
	vi.advanceTimersByTime(60_000);
	expect(t.sources).toHaveLength(1);
	t.source.open();
	expect(t.states).toEqual(["connecting", "live", "retrying", "live"]);
});

test("a refused one is asked for again after the last id, ever less often", () => {
	const t = new Trial();
	t.stream.open();
	t.source.open();
	t.source.send("7-a", "");
	const waits: number[] = [];
	for (let i = 0; i < 8; i++) {
		t.source.refuse();
		const before = Date.now();
		const sources = t.sources.length;
		while (t.sources.length === sources) {
			vi.advanceTimersByTime(10);
		}
		waits.push(Date.now() - before);
		expect(t.after).toBe("7-a");
	}
	expect(t.refusals).toBe(8);
	expect(waits[0]).toBeLessThanOrEqual(1_000);
	expect(waits[7]).toBeGreaterThan(7_000);
	expect(Math.max(...waits)).toBeLessThanOrEqual(15_010);
});

test("the waits begin anew once a connection has lasted", () => {
	const t = new Trial();
	t.stream.open();
	for (let i = 0; i < 5; i++) {
		t.source.refuse();
		vi.advanceTimersByTime(15_000);
	}
	t.source.open();
	vi.advanceTimersByTime(6_000);
	const sources = t.sources.length;
	t.source.refuse();
	vi.advanceTimersByTime(1_000);
	expect(t.sources).toHaveLength(sources + 1);
});

test("a gateway that accepts and drops is not hammered", () => {
	const t = new Trial();
	t.stream.open();
	for (let i = 0; i < 5; i++) {
		t.source.open();
		t.source.refuse();
		vi.advanceTimersByTime(15_000);
	}
	const sources = t.sources.length;
	t.source.open();
	t.source.refuse();
	vi.advanceTimersByTime(5_000);
	expect(t.sources).toHaveLength(sources);
});

test("a drop ends the waiting", () => {
	const t = new Trial();
	t.stream.open();
	t.source.refuse();
	t.stream.drop();
	vi.advanceTimersByTime(60_000);
	expect(t.sources).toHaveLength(1);
	expect(t.stream.state).toBe("dropped");
});

test("hurry does not wait, and does not open what the user dropped", () => {
	const t = new Trial();
	t.stream.open();
	t.source.refuse();
	t.stream.hurry();
	expect(t.sources).toHaveLength(2);
	t.stream.hurry();
	expect(t.sources).toHaveLength(2);
	t.stream.drop();
	t.stream.hurry();
	expect(t.sources).toHaveLength(2);
});

test("a gap is reported and moves the position, back too", () => {
	const t = new Trial();
	t.stream.open();
	t.source.open();
	t.source.send("7-a", "");
	t.source.send("3-x", '{"reason":"reset","requested":"7-a","oldest":"1-y"}', "ringcast.gap");
	expect(t.gaps).toEqual([{ reason: "reset", requested: "7-a", oldest: "1-y" }]);
	expect(t.stream.lastId).toBe("3-x");
	t.source.send("", "{}", "ringcast.gap");
	expect(t.stream.lastId).toBe("3-x");
});

test.each(["", "null", "[]", "not JSON", '{"reason":7}'])(
	"the data %s is a gap all the same",
	(data) => {
		expect(parseGap(data)).toEqual({ reason: "", requested: "", oldest: "" });
	},
);
