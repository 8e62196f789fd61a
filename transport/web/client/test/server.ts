import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export type Handler = (
	response: ServerResponse,
	request: IncomingMessage & { text: string },
	n: number,
) => void;

/** A server that answers its nth request, from 0, as the handler says. */
export class TestServer {
	readonly requests: (IncomingMessage & { text: string })[] = [];
	private constructor(readonly url: string) {}

	static async start(handler: Handler): Promise<TestServer> {
		const server = createServer(async (request, response) => {
			let text = "";
			for await (const chunk of request) {
				text += chunk;
			}
			const whole = Object.assign(request, { text });
			test.requests.push(whole);
			handler(response, whole, test.requests.length - 1);
		});
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const test = new TestServer(`http://127.0.0.1:${port}/stream`);
		onTestFinished(() => {
			server.closeAllConnections();
			server.close();
		});
		return test;
	}
}

/** Answers with a stream that stays open. */
export function stream(response: ServerResponse, text = ""): void {
	response.writeHead(200, { "Content-Type": "text/event-stream" });
	response.flushHeaders();
	response.write(text || ":\n");
}
