import { expect, type TestContext } from "vitest";
import { type Exchange, ReverseProxy } from "../testing/reverse-proxy.ts";
import type { Ringcast } from "../testing/ringcast.ts";
import type { Client, Quirk } from "./client.ts";
import type { Host, Session } from "./session.ts";

/** The types that clients listen to. */
const TYPES = ["message", "add", "finish", "ringcast.gap"];

/** Where a request wants to resume, or a careful one to begin. */
export function positionAsked({ url, headers }: Exchange): string | undefined {
	const { searchParams } = new URL(url, "http://localhost");
	const inQuery = searchParams.get("lastEventId") ?? searchParams.get("from") ?? undefined;
	return headers["last-event-id"]?.toString() ?? inQuery;
}

function sequence(id: string): number {
	return Number.parseInt(id, 10);
}

/** What stands ready for all scenarios. */
export interface Props {
	readonly ringcast: Ringcast;
	/** A gateway of another stream, in which no id of the first means anything. */
	readonly other: Ringcast;
	/** Starts a gateway for one scenario alone. */
	readonly startGateway: () => Promise<Ringcast>;
}

let stages = 0;

/** What one scenario with one client plays on: a subject, and a proxy of its own. */
export class Stage {
	private session: Session | undefined;
	/** The ids that the publisher was acked, by the data of the event. */
	private readonly acked = new Map<string, string>();

	private constructor(
		readonly props: Props,
		readonly subject: string,
		readonly proxy: ReverseProxy,
		private readonly client: Client,
		private readonly host: Host,
		private readonly around: Quirk["around"] | undefined,
	) {}

	/** Struck at the end of the test. */
	static async set(
		{ onTestFailed, onTestFinished }: TestContext,
		props: Props,
		client: Client,
		host: Host,
		around?: Quirk["around"],
	): Promise<Stage> {
		const proxy = await ReverseProxy.to(props.ringcast.url);
		const stage = new Stage(props, `events.clients.${++stages}`, proxy, client, host, around);
		onTestFinished(() => stage.strike());
		onTestFailed(() => console.error(stage.record));
		return stage;
	}

	/** Opens the client's stream of the subject, through the proxy unless at another URL. */
	async open(
		parameters: Readonly<Record<string, string>> = {},
		{ url = this.proxy.url, accept }: { url?: string; accept?: string } = {},
	): Promise<Session> {
		const query = new URLSearchParams({ ...parameters, ...this.around?.query });
		if (this.around?.fromPosition) {
			query.set("from", await this.position());
		}
		this.session = await this.host.start(
			this.client,
			`${url}/v1/stream?${query}`,
			{ types: TYPES, accept, careful: this.around !== undefined },
			this.around?.closeOn,
		);
		return this.session;
	}

	/** Resolves once a request was answered with a stream that has its first position. */
	async subscribed(request = 0): Promise<Exchange> {
		const { exchanges } = this.proxy;
		const begun = () => exchanges[request]?.answer.body.includes("\nid: ") ?? false;
		await this.proxy.until(begun);
		const exchange = exchanges[request] as Exchange;
		expect(exchange.answer.status).toBe(200);
		return exchange;
	}

	/** Resolves once the gateway has sent a bookmark or a heartbeat after the first position. */
	async alive(): Promise<Exchange> {
		const exchange = await this.subscribed();
		const opening = /^retry: 200\nid: \S+\n\n?(:\n|id: )/;
		await this.proxy.until(() => opening.test(exchange.answer.body));
		return exchange;
	}

	/** Publishes; every event has data of its own. */
	async publish(data: string, type?: string, ringcast = this.props.ringcast): Promise<string> {
		const id = await ringcast.publish(this.subject, data, type);
		this.acked.set(data, id);
		return id;
	}

	async finish(data: string): Promise<void> {
		this.acked.set(data, await this.props.ringcast.finish(this.subject, data));
	}

	/**
	 * Returns what the client has handed over. The id of what was published must be the one
	 * acked to the publisher. No event of a scenario is empty; how many empty messages a
	 * client fires that does so is a matter of time.
	 */
	told({ events }: Session): { events: [type: string, data: string][]; emptyMessages: boolean } {
		const whole = events.filter(({ data }) => data !== "");
		for (const { data, id } of whole) {
			expect(id, `id of ${JSON.stringify(data)}`).toBe(this.acked.get(data) ?? id);
		}
		return {
			events: whole.map(({ type, data }) => [type, data]),
			emptyMessages: whole.length < events.length,
		};
	}

	/**
	 * Checks that a stream began at the position that was asked for, and has had every event
	 * after it, once, in order.
	 */
	expectWhole(exchange: Exchange): void {
		const [first = "", ...ids] = [...exchange.answer.body.matchAll(/^id: (\S+)$/gm)].map(
			([, id]) => id as string,
		);
		expect(first).toBe(positionAsked(exchange) ?? first);
		const since = [...this.acked.values()].filter((id) => sequence(id) > sequence(first));
		expect(ids).toEqual(since);
	}

	/** Returns the id of the position where the log stands. */
	private async position(): Promise<string> {
		const query = new URLSearchParams({ subject: this.subject });
		const answer = await fetch(`${this.props.ringcast.url}/v1/stream?${query}`, {
			headers: { Accept: "application/json" },
		});
		return ((await answer.json()) as { last_event_id: string }).last_event_id;
	}

	/** What the client has reported and what was on the wire, for a failed test. */
	private get record(): string {
		const { exchanges } = this.proxy;
		return JSON.stringify({ reports: this.session?.seen, exchanges }, null, "\t");
	}

	private async strike(): Promise<void> {
		await this.session?.close();
		await this.proxy.close();
	}
}
