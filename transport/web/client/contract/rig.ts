import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { Service } from "./service.ts";

/** The body of a callback. */
export type Report =
	| { kind: "event"; event: { type: string; data: string; id: string } }
	| { kind: "comment"; comment: string }
	| { kind: "error"; error: string };

export function typed(type: string, data: string, id = ""): Report {
	return { kind: "event", event: { type, data, id } };
}

/** The report of an event of the default type. */
export function message(data: string, id = ""): Report {
	return typed("message", data, id);
}

export function comment(text: string): Report {
	return { kind: "comment", comment: text };
}

/** What comes in, until somebody waits for it. */
export class Queue<T> {
	private readonly items: T[] = [];
	private wake = () => {};

	push(item: T): void {
		this.items.push(item);
		this.wake();
	}

	/** Waits as long as the test may last. */
	async next(): Promise<T> {
		for (;;) {
			const item = this.items.shift();
			if (item !== undefined) {
				return item;
			}
			await new Promise<void>((resolve) => {
				this.wake = resolve;
			});
		}
	}

	get isEmpty(): boolean {
		return this.items.length === 0;
	}
}

/** One service for the tests of a file, on a real socket. */
export class Harness {
	readonly log = new Queue<string>();
	private service: Service | undefined;

	constructor() {
		beforeAll(async () => {
			this.service = await Service.start(0, (line) => this.log.push(line));
		});
		afterAll(() => this.service?.end());
	}

	get url(): string {
		return this.service?.url ?? "";
	}

	/** Returns the next line of the log that has the text in it. */
	async logged(text: string): Promise<string> {
		for (;;) {
			const line = await this.log.next();
			if (line.includes(text)) {
				return line;
			}
		}
	}

	async follow(parameters: object = {}): Promise<Follower> {
		return await follow(this.url, parameters);
	}
}

/**
 * Has a service make a client for a stream of this test, which is deleted when the test
 * is over. The parameters may name other URLs.
 */
export async function follow(service: string, parameters: object): Promise<Follower> {
	const follower = new Follower();
	const body = {
		streamUrl: await serve((_, response) => follower.stream(response)),
		callbackUrl: await serve((_, response) => follower.receive(response)),
		tag: expect.getState().currentTestName,
		...parameters,
	};
	const answer = await request("POST", `${service}/`, body);
	expect(answer.status, await answer.text()).toBe(201);
	follower.location = answer.headers.get("location") ?? "";
	onTestFinished(async () => {
		if (follower.location !== "") {
			await follower.delete();
		}
		expect(follower.faults).toEqual([]);
	});
	return follower;
}

/** A string is sent as it is, anything else as JSON. */
export async function request(method: string, url: string, body?: unknown): Promise<Response> {
	const text = typeof body === "string" ? body : JSON.stringify(body);
	return await fetch(url, { method, ...(text !== undefined && { body: text }) });
}

/** Returns the URL of a server that lives as long as the test. */
export async function serve(listener: RequestListener): Promise<string> {
	const server = createServer(listener);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	onTestFinished(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** One request for a stream, and its answer. */
export class Connection {
	/** Resolves when either side has ended it. */
	readonly closed: Promise<unknown>;

	constructor(
		private readonly response: ServerResponse,
		readonly body: string,
	) {
		this.closed = once(response, "close");
	}

	get method(): string | undefined {
		return this.response.req.method;
	}

	header(name: string): string | undefined {
		return this.response.req.headersDistinct[name]?.join();
	}

	/**
	 * Sends each of the parts as a chunk of its own, a turn of the event loop apart: so the
	 * client, which runs in this process, gets each by itself.
	 */
	async send(...parts: (string | Uint8Array)[]): Promise<void> {
		for (const part of parts) {
			this.response.write(part);
			await setImmediate();
			await setImmediate();
		}
	}

	/** How much of what was sent waits for the client to read. */
	get unsentBytes(): number {
		return this.response.writableLength;
	}

	/** Ends the connection in the middle of its body, after what was sent. */
	cut(): void {
		this.response.write("", () => this.response.socket?.destroySoon());
	}
}

/** A client that the service has made, with its two ends at the harness's side. */
export class Follower {
	/** `""` once there is none. */
	location = "";
	/** What was wrong about the callbacks, whatever they said. */
	readonly faults: string[] = [];
	readonly reports = new Queue<Report>();
	private readonly connections = new Queue<Connection>();
	private received = 0;

	/** Answers with an event stream of what the connection is told to send. */
	async stream(response: ServerResponse): Promise<void> {
		const body = await readAll(response);
		response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
		response.flushHeaders();
		this.connections.push(new Connection(response, body));
	}

	/** Takes a report; they are numbered. */
	async receive(response: ServerResponse): Promise<void> {
		const { method, url } = response.req;
		this.received++;
		if (method !== "POST" || url !== `/${this.received}`) {
			this.faults.push(`${method} ${url} as number ${this.received}`);
		}
		this.reports.push(JSON.parse(await readAll(response)));
		response.writeHead(202).end();
	}

	/** Has the client deleted. */
	async delete(): Promise<void> {
		const answer = await request("DELETE", this.location);
		expect(answer.status, await answer.text()).toBe(204);
		this.location = "";
	}

	/** Sends a command that must be obeyed. */
	async command(body: object): Promise<void> {
		const answer = await request("POST", this.location, body);
		expect(answer.status, await answer.text()).toBe(204);
	}

	async listen(type: string): Promise<void> {
		await this.command({ command: "listen", listen: { type } });
	}

	/** Returns the next connection. */
	async connected(): Promise<Connection> {
		return await this.connections.next();
	}

	/** Whether there is a connection that nobody has waited for. */
	get isConnected(): boolean {
		return !this.connections.isEmpty;
	}

	/** Checks that these are the next reports. */
	async reported(...reports: Report[]): Promise<void> {
		for (const report of reports) {
			expect(await this.reports.next()).toEqual(report);
		}
	}

	/** Returns the text of the next report, which must be an error's. */
	async failed(): Promise<string> {
		const report = await this.reports.next();
		if (report.kind !== "error") {
			throw new Error(`reported instead of an error: ${JSON.stringify(report)}`);
		}
		expect(report.error).not.toBe("");
		return report.error;
	}
}

async function readAll({ req }: ServerResponse): Promise<string> {
	let text = "";
	for await (const chunk of req.setEncoding("utf8")) {
		text += chunk;
	}
	return text;
}
