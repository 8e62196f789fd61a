import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
	interface ProvidedContext {
		/** The ringcast binary, built from the working tree. */
		ringcast: string;
	}
}

/** Builds the binary once for all tests; returns what removes it. */
export default function setup(project: TestProject): () => void {
	const dir = mkdtempSync(join(tmpdir(), "ringcast-client-"));
	const ringcast = join(dir, "ringcast");
	execFileSync("go", ["build", "-o", ringcast, "./cmd/ringcast"], {
		cwd: resolve(import.meta.dirname, "../../../.."),
		stdio: "inherit",
	});
	project.provide("ringcast", ringcast);
	return () => rmSync(dir, { recursive: true, force: true });
}
