import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { inject } from "vitest";
import type { Client, Report } from "../client.ts";
import { FORGETS_PRIMING } from "../quirks.ts";

/** In a process of its own, whose source is in ../go-sse. */
export const goSse: Client = {
	name: "go-sse",
	takesAccept: false, // it has its own instead of the one that it is given
	quirks: {
		"cut in the first event": {
			...FORGETS_PRIMING,
			does: "fires an empty message for an id without data, which it is spared for want of `Cache-Control: no-cache`; cut before its first event is whole, it begins anew",
		},
	},
	open: (url, _options, report) => {
		const child = spawn(inject("goSse"), [url], { stdio: ["ignore", "pipe", "inherit"] });
		createInterface(child.stdout).on("line", (line) => {
			const seen = JSON.parse(line) as Report;
			report(seen.kind === "event" && seen.type === "" ? { ...seen, type: "message" } : seen);
		});
		return () => child.kill();
	},
};
