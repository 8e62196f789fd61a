import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, Report } from "../client.ts";

/** Exit codes after which another attempt makes no sense: a clean end, and --fail's. */
const FINAL = [0, 22];

/** curl as a script uses it: again with the id of the last whole block, whenever it fails. */
export const curl: Client = {
	name: "curl",
	takesAccept: true,
	quirks: {},
	open: (url, { accept = "text/event-stream" }, report) => {
		const abort = new AbortController();
		void follow(url, accept, report, abort.signal);
		return () => abort.abort();
	},
};

async function follow(
	url: string,
	accept: string,
	report: (report: Report) => void,
	signal: AbortSignal,
): Promise<void> {
	const blocks = new Blocks(report);
	while (!signal.aborted) {
		// The second header is what every EventSource sends, and has bookmarks come as blocks.
		const headers = [`Accept: ${accept}`, "Cache-Control: no-cache"];
		if (blocks.lastId !== "") {
			headers.push(`Last-Event-ID: ${blocks.lastId}`);
		}
		const code = await run(
			[...headers.flatMap((header) => ["--header", header]), url],
			signal,
			(line) => blocks.read(line),
		);
		if (FINAL.includes(code)) {
			report({ kind: "closed" });
			return;
		}
		report({ kind: "error", message: `curl: exit code ${code}` });
		blocks.reset();
		await sleep(200);
	}
}

async function run(
	args: readonly string[],
	signal: AbortSignal,
	onLine: (line: string) => void,
): Promise<number> {
	const child = spawn("curl", ["--silent", "--no-buffer", "--fail", ...args], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	const kill = () => child.kill();
	signal.addEventListener("abort", kill);
	createInterface(child.stdout).on("line", onLine);
	const [code] = await once(child, "close");
	signal.removeEventListener("abort", kill);
	return code;
}

/** The few lines of a script that take a stream apart. */
class Blocks {
	/** The id of the last whole block. */
	lastId = "";
	private type = "message";
	private data: string[] = [];
	private id: string | undefined;

	constructor(private readonly report: (report: Report) => void) {}

	read(line: string): void {
		const value = line.slice(line.indexOf(" ") + 1);
		if (line.startsWith("retry: ")) {
			this.report({ kind: "open" });
		} else if (line.startsWith("event: ")) {
			this.type = value;
		} else if (line.startsWith("data: ")) {
			this.data.push(value);
		} else if (line.startsWith("id: ")) {
			this.id = value;
		} else if (line === "") {
			this.end();
		}
	}

	/** Forgets a block that was cut. */
	reset(): void {
		this.type = "message";
		this.data = [];
		this.id = undefined;
	}

	private end(): void {
		this.lastId = this.id ?? this.lastId;
		if (this.data.length > 0) {
			const { type, lastId: id } = this;
			this.report({ kind: "event", type, data: this.data.join("\n"), id });
		}
		this.reset();
	}
}
