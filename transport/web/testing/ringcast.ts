import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { inject } from "vitest";

/** An event of a JSON page. */
export interface PageEvent {
	readonly id: string;
	readonly subject: string;
	readonly type: string;
	readonly data: string;
}

/** The line of the log that says where the page is, and where NATS. */
const READY = /msg="ringcast is ready" url=(http:\/\/\S+?)\/ nats=(\S+) /;

/** A running `ringcast serve` or `ringcast demo` with a data directory of its own. */
export class Ringcast {
	private readonly dataDir = mkdtempSync(join(tmpdir(), "ringcast-data-"));
	private process: ChildProcess | undefined;

	/** Where it listens, from the first start on: a restart takes the same port. */
	url = "";

	/** Where its NATS listens; a restart may take another port. */
	natsUrl = "";

	private constructor(private readonly args: readonly string[]) {}

	/** With producers of quotes and notifications, and a worker that answers questions. */
	static async demo(...flags: string[]): Promise<Ringcast> {
		const ringcast = new Ringcast(["demo", ...flags]);
		await ringcast.start();
		return ringcast;
	}

	/** Without. */
	static async serve(...flags: string[]): Promise<Ringcast> {
		const ringcast = new Ringcast(["serve", ...flags]);
		await ringcast.start();
		return ringcast;
	}

	/** Starts it on the same port and data as before. */
	async start(): Promise<void> {
		const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
		const child = spawn(
			inject("ringcast"),
			[
				...this.args,
				`--listen=${listen}`,
				"--nats-listen=-1",
				`--data-dir=${this.dataDir}`,
				"--retry=200ms",
			],
			{ stdio: ["ignore", "ignore", "pipe"] },
		);
		this.process = child;
		[this.url, this.natsUrl] = await readUrls(child.stderr);
	}

	/** Ends it as a crash does: nothing is flushed, and nobody is told. */
	async kill(): Promise<void> {
		await this.end("SIGKILL");
	}

	/** Ends it and removes its data. */
	async stop(): Promise<void> {
		await this.end("SIGTERM");
		rmSync(this.dataDir, { recursive: true, force: true });
	}

	private async end(signal: NodeJS.Signals): Promise<void> {
		const child = this.process;
		this.process = undefined;
		if (child !== undefined && child.exitCode === null && child.signalCode === null) {
			const exited = once(child, "exit");
			child.kill(signal);
			await exited;
		}
	}

	/** Publishes and returns the id once the event is stored. */
	async publish(subject: string, data: string, type?: string): Promise<string> {
		return await this.post(subject, data, type === undefined ? {} : { "Ringcast-Event": type });
	}

	/** Publishes the last event of a subject, of type `finish`. */
	async finish(subject: string, data: string): Promise<string> {
		return await this.post(subject, data, { "Ringcast-Event": "finish", "Ringcast-End": "true" });
	}

	private async post(subject: string, data: string, headers: HeadersInit): Promise<string> {
		const url = `${this.url}/v1/publish/${subject}`;
		const answer = await fetch(url, { method: "POST", body: data, headers });
		if (!answer.ok) {
			throw new Error(`publish ${subject}: ${answer.status} ${await answer.text()}`);
		}
		return ((await answer.json()) as { id: string }).id;
	}

	/** Returns everything that the log holds of a subject. */
	async read(subject: string): Promise<PageEvent[]> {
		const events: PageEvent[] = [];
		for (let from = "oldest"; ; ) {
			const query = new URLSearchParams({ subject, from, limit: "1000" });
			const answer = await fetch(`${this.url}/v1/stream?${query}`, {
				headers: { Accept: "application/json" },
			});
			const page = (await answer.json()) as { events: PageEvent[]; last_event_id: string };
			if (page.events.length === 0) {
				return events;
			}
			events.push(...page.events);
			from = page.last_event_id;
		}
	}
}

/** Returns the URLs that the log tells, and goes on emptying the pipe. */
async function readUrls(log: Readable): Promise<[url: string, natsUrl: string]> {
	const lines: string[] = [];
	return await new Promise((resolve, reject) => {
		const reader = createInterface(log);
		reader.on("line", (line) => {
			const [, url, natsUrl] = READY.exec(line) ?? [];
			if (url !== undefined && natsUrl !== undefined) {
				resolve([url, natsUrl]);
			} else if (lines.length < 100) {
				lines.push(line);
			}
		});
		reader.on("close", () => reject(new Error(`ringcast did not start:\n${lines.join("\n")}`)));
	});
}
