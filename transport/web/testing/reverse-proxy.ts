import { EventEmitter, once } from "node:events";
import {
	createServer,
	type IncomingHttpHeaders,
	type IncomingMessage,
	request,
	type Server,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** A request and what came back. */
export interface Exchange {
	readonly method: string;
	readonly url: string;
	readonly headers: IncomingHttpHeaders;
	readonly answer: Answer;
}

/** What came back so far. */
interface Answer {
	/** 0 until the target has answered. */
	status: number;
	headers: IncomingHttpHeaders;
	/** What the target sent, a character for a byte; the client may have got less. */
	body: string;
	/** A cut is an end without the terminating chunk, whoever made it. */
	end: "open" | "clean" | "cut";
}

/**
 * An HTTP proxy that keeps what passes, and can cut an answer at a byte. A TcpProxy knows
 * connections only, which have several requests where a client keeps them alive.
 */
export class ReverseProxy {
	/** All but CORS preflights, in order. */
	readonly exchanges: Exchange[] = [];
	private readonly server: Server;
	private readonly changed = new EventEmitter();
	private cutAt: RegExp | undefined;
	/** Those that are about to be cut. */
	private readonly stalled = new Set<Answer>();
	/** What waits for restore, while something does. */
	private held: (() => void)[] | undefined;

	private constructor(private target: string) {
		this.server = createServer((incoming, outgoing) => this.accept(incoming, outgoing));
	}

	static async to(target: string): Promise<ReverseProxy> {
		const proxy = new ReverseProxy(target);
		proxy.server.listen(0, "127.0.0.1");
		await once(proxy.server, "listening");
		return proxy;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
	}

	/** Resolves once what has passed fulfils the condition. */
	async until(condition: () => boolean): Promise<void> {
		while (!condition()) {
			await once(this.changed, "change");
		}
	}

	/**
	 * Passes nothing on after the first byte with which an answer's body matches, once, and
	 * cuts the connection at the target's next sign of life: by then a client has read what
	 * it got, which fetch throws away otherwise. Further requests wait for restore.
	 */
	cutAfter(pattern: RegExp): void {
		this.cutAt = pattern;
	}

	restore(): void {
		const held = this.held ?? [];
		this.held = undefined;
		for (const pass of held) {
			pass();
		}
	}

	/** Cuts every connection; what comes next goes to the target. */
	switchTo(target: string): void {
		this.target = target;
		this.server.closeAllConnections();
	}

	async close(): Promise<void> {
		this.server.close();
		this.server.closeAllConnections();
		await once(this.server, "close");
	}

	private accept(incoming: IncomingMessage, outgoing: ServerResponse): void {
		if (this.held === undefined) {
			this.pass(incoming, outgoing);
		} else {
			this.held.push(() => this.pass(incoming, outgoing));
		}
	}

	private pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
		const { method = "", url = "", headers } = incoming;
		const answer: Answer = { status: 0, headers: {}, body: "", end: "open" };
		if (method !== "OPTIONS") {
			this.exchanges.push({ method, url, headers, answer });
		}
		const upstream = request(new URL(url, this.target), { method, headers, agent: false });
		upstream.on("error", () => outgoing.destroy());
		upstream.on("response", (response) => this.passAnswer(answer, response, outgoing));
		outgoing.on("close", () => {
			upstream.destroy();
			this.end(answer, "cut");
		});
		incoming.pipe(upstream);
	}

	private passAnswer(answer: Answer, response: IncomingMessage, outgoing: ServerResponse): void {
		answer.status = response.statusCode ?? 0;
		answer.headers = response.headers;
		outgoing.sendDate = false;
		outgoing.writeHead(answer.status, response.rawHeaders);
		outgoing.flushHeaders();
		this.changed.emit("change");
		response.on("data", (bytes: Buffer) => this.passBody(answer, bytes, outgoing));
		response.on("end", () => {
			outgoing.end();
			this.end(answer, "clean");
		});
		response.on("error", () => {
			outgoing.socket?.destroySoon(); // what was passed on still arrives
			this.end(answer, "cut");
		});
	}

	private passBody(answer: Answer, bytes: Buffer, outgoing: ServerResponse): void {
		const before = answer.body.length;
		answer.body += bytes.toString("latin1"); // so that an index is a byte
		const match = this.cutAt?.exec(answer.body);
		if (this.stalled.has(answer)) {
			outgoing.socket?.destroySoon();
		} else if (match != null) {
			this.cutAt = undefined;
			this.held = [];
			this.stalled.add(answer);
			outgoing.write(bytes.subarray(0, match.index + match[0].length - before));
		} else {
			outgoing.write(bytes);
		}
		this.changed.emit("change");
	}

	private end(answer: Answer, how: "clean" | "cut"): void {
		answer.end = answer.end === "open" ? how : answer.end;
		this.changed.emit("change");
	}
}
