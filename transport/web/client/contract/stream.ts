import { createEventStream, type ResumableStream, type StreamEvent } from "../src/index.ts";
import { Callbacks, type Log } from "./callbacks.ts";
import type { Command, StreamParameters } from "./input.ts";

/** One stream of the client, and the reports of it. */
export class ContractStream {
	private readonly life = new AbortController();
	private readonly callbacks: Callbacks;
	private readonly stream: ResumableStream;

	constructor({ streamUrl, callbackUrl, options }: StreamParameters, log: Log) {
		this.callbacks = new Callbacks(callbackUrl, this.life.signal, log);
		this.stream = createEventStream(streamUrl, {
			...options,
			signal: this.life.signal,
			fetch: (url, init) => this.fetch(url, init),
			oncomment: (text) => this.callbacks.comment(text),
			onerror: (error) => this.callbacks.error(error),
			onclose: (end, error) => log(`ended: ${end?.reason ?? error?.message}`),
		});
		this.obey({ listen: "message" });
	}

	obey(command: Command): void {
		if ("restart" in command) {
			this.stream.reconnect();
		} else {
			this.stream.addEventListener(command.listen, this.report); // the same twice counts once
		}
	}

	/** Ends the stream, and resolves when nothing of it is under way any more. */
	async close(): Promise<void> {
		this.life.abort();
		await this.stream.done.catch(() => {}); // has been reported
		await this.callbacks.answered;
	}

	private readonly report = (event: StreamEvent): void => this.callbacks.event(event);

	/**
	 * Holds the client back until all that it has said is reported, before a request and
	 * before each chunk: a harness that is slow to answer must not make reports pile up.
	 */
	private async fetch(...request: Parameters<typeof fetch>): Promise<Response> {
		await this.callbacks.answered;
		const response = await fetch(...request);
		if (response.body === null) {
			return response;
		}
		const brake = new TransformStream<Uint8Array, Uint8Array>({
			transform: async (chunk, out) => {
				await this.callbacks.answered;
				out.enqueue(chunk);
			},
		});
		return new Response(response.body.pipeThrough(brake), response);
	}
}
