import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Log } from "./callbacks.ts";
import { BadInput, readCommand, readParameters } from "./input.ts";
import { ContractStream } from "./stream.ts";

/** The optional parts of the tests that the client is there for. */
const CAPABILITIES = [
	"bom",
	"comments",
	"event-type-listeners",
	"headers",
	"last-event-id",
	"post",
	"read-timeout",
	"report",
	"restart",
	"server-directed-shutdown-request",
];

/** More than any body of the protocol. */
const MOST_BODY_BYTES = 1 << 20;

interface Answer {
	readonly status: number;
	readonly headers?: Record<string, string>;
	readonly body?: string;
}

const DONE: Answer = { status: 204 };
const NOT_FOUND: Answer = { status: 404, body: "no such call, or no such stream" };

/**
 * Puts the client behind the service protocol of the published SSE contract tests, so
 * that their harness can drive it:
 *
 *	harness ──POST /, commands──▶ Service ──▶ createEventStream ──▶ the harness's streams
 *	   ▲                                              │
 *	   └───────────POST callbackUrl/1, /2, …──────────┘
 *
 * https://github.com/launchdarkly/sse-contract-tests/blob/main/docs/service_spec.md is the
 * protocol, and docs/optional_features.md there says what each capability stands for.
 *
 * Promised: what is reported is what the client handed over, in its order, and of a stream
 * that was deleted nothing is left. Not promised: that a report arrives; one that the
 * harness refuses is logged, and the harness misses it. Nor does the service defend itself:
 * it requests whatever URL it is told, and listens on the loopback interface alone.
 *
 * The harness itself has not been run: the module proxy refused each version that was asked
 * for. The tests here go through the harness's, as its source has them, over the same
 * protocol; server-directed-shutdown-request is taken for an answer of 204, as services of
 * other clients that claim it do.
 */
export class Service {
	private readonly server = createServer((request, response) => this.serve(request, response));
	private readonly streams = new Map<string, ContractStream>();
	private made = 0;
	private ending: Promise<void> | undefined;

	private constructor(private readonly log: Log) {}

	/** @param port 0 for any that is free */
	static async start(port: number, log: Log): Promise<Service> {
		const service = new Service(log);
		service.server.listen(port, "127.0.0.1");
		await once(service.server, "listening");
		return service;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
	}

	/** Ends the service and its streams; once however often it is called. */
	end(): Promise<void> {
		this.ending ??= this.close();
		return this.ending;
	}

	private async close(): Promise<void> {
		const closed = once(this.server, "close");
		this.server.close();
		this.server.closeAllConnections();
		await Promise.all([...this.streams.values()].map((stream) => stream.close()));
		await closed;
	}

	private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		let answer: Answer;
		try {
			answer = await this.answer(request, response);
		} catch (error) {
			const { message } = error as Error;
			answer = { status: error instanceof BadInput ? 400 : 500, body: message };
		}
		response.writeHead(answer.status, { Connection: "close", ...answer.headers });
		response.end(answer.body);
	}

	private async answer(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
		const { method, url = "" } = request;
		const id = /^\/streams\/(\d+)$/.exec(url)?.[1] ?? "";
		switch (`${method} ${id === "" ? url : "/streams/{id}"}`) {
			case "GET /":
				return status();
			case "POST /":
				return this.create(await readJson(request));
			case "DELETE /":
				response.once("finish", () => void this.end());
				return DONE;
			case "POST /streams/{id}":
				return this.command(id, await readJson(request));
			case "DELETE /streams/{id}":
				return await this.delete(id);
			default:
				return NOT_FOUND;
		}
	}

	/** Location is an absolute URL: the harness puts a relative one behind its own as it is. */
	private create(body: unknown): Answer {
		const parameters = readParameters(body);
		const id = String(++this.made);
		const log: Log = (line) => this.log(`stream ${id}, ${JSON.stringify(parameters.tag)}: ${line}`);
		this.streams.set(id, new ContractStream(parameters, log));
		return { status: 201, headers: { Location: `${this.url}/streams/${id}` } };
	}

	private command(id: string, body: unknown): Answer {
		const stream = this.streams.get(id);
		if (stream === undefined) {
			return NOT_FOUND;
		}
		stream.obey(readCommand(body));
		return DONE;
	}

	/** A stream that has come to its end by itself is still there to be deleted. */
	private async delete(id: string): Promise<Answer> {
		const stream = this.streams.get(id);
		if (stream === undefined) {
			return NOT_FOUND;
		}
		await stream.close();
		this.streams.delete(id);
		return DONE;
	}
}

function status(): Answer {
	return {
		status: 200,
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ name: "@ringcast/client", capabilities: CAPABILITIES }),
	};
}

/** Reads a body to its end, also one that is too large: else its sender misses the answer. */
async function readJson(request: IncomingMessage): Promise<unknown> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes <= MOST_BODY_BYTES) {
			chunks.push(chunk);
		}
	}
	if (bytes > MOST_BODY_BYTES) {
		throw new BadInput(`the body: more than ${MOST_BODY_BYTES} bytes`);
	}
	try {
		return JSON.parse(Buffer.concat(chunks).toString());
	} catch (error) {
		throw new BadInput(`the body: not JSON: ${(error as Error).message}`);
	}
}
