import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
	interface ProvidedContext {
		/** The program that follows a stream with go-sse. */
		goSse: string;
	}
}

/** Builds the client that is in Go; returns what removes it. */
export default function setup(project: TestProject): () => void {
	const dir = mkdtempSync(join(tmpdir(), "ringcast-clients-"));
	const goSse = join(dir, "go-sse");
	execFileSync("go", ["build", "-o", goSse, "./go-sse"], {
		cwd: import.meta.dirname,
		stdio: "inherit",
	});
	project.provide("goSse", goSse);
	return () => rmSync(dir, { recursive: true, force: true });
}
