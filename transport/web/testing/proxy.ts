import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy whose connections the test can cut. */
export class TcpProxy {
	private readonly sockets = new Set<Socket>();
	private readonly passed = new EventEmitter();
	private sent = "";
	private closed = false;
	private readonly server: Server;

	private constructor(private readonly target: URL) {
		this.server = createServer((client) => this.accept(client));
	}

	static async to(url: string): Promise<TcpProxy> {
		const proxy = new TcpProxy(new URL(url));
		proxy.server.listen(0, "127.0.0.1");
		await once(proxy.server, "listening");
		return proxy;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
	}

	/** Resolves once what was passed to the client matches. */
	async hasSent(pattern: RegExp): Promise<void> {
		while (!pattern.test(this.sent)) {
			await once(this.passed, "data");
		}
	}

	/** Cuts every connection, and every further one until restore. */
	cut(): void {
		this.closed = true;
		for (const socket of this.sockets) {
			socket.destroySoon(); // what was passed on still arrives
		}
	}

	restore(): void {
		this.closed = false;
	}

	async close(): Promise<void> {
		this.cut();
		this.server.close();
		await once(this.server, "close");
	}

	private accept(client: Socket): void {
		if (this.closed) {
			client.destroy();
			return;
		}
		const upstream = connect(Number(this.target.port), this.target.hostname);
		upstream.on("data", (bytes) => {
			this.sent += bytes.toString("latin1");
			this.passed.emit("data");
		});
		this.join(client, upstream);
		this.join(upstream, client);
	}

	/** Passes everything on; when one side ends, so does the other. */
	private join(from: Socket, to: Socket): void {
		this.sockets.add(from);
		from.pipe(to);
		from.on("error", () => from.destroy());
		from.on("close", () => {
			this.sockets.delete(from);
			to.destroySoon();
		});
	}
}
