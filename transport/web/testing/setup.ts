import { execFileSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
	interface ProvidedContext {
		/** The ringcast binary, built from the working tree. */
		ringcast: string;
		/** The browser to test with. */
		chromium: string;
	}
}

const REPOSITORY = resolve(import.meta.dirname, "../../..");

/** What browsers of the family are called, on the search path and off it. */
const CHROMIUM_NAMES = [
	"chromium",
	"chromium-browser",
	"google-chrome",
	"google-chrome-stable",
	"chrome",
];
const CHROMIUM_PATHS = [
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	"/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** Builds the binary once for all tests; returns what removes it. */
export default function setup(project: TestProject): () => void {
	const chromium = findChromium();
	const dir = mkdtempSync(join(tmpdir(), "ringcast-e2e-"));
	const ringcast = join(dir, "ringcast");
	execFileSync("go", ["build", "-o", ringcast, "./cmd/ringcast"], {
		cwd: REPOSITORY,
		stdio: "inherit",
	});
	project.provide("ringcast", ringcast);
	project.provide("chromium", chromium);
	return () => rmSync(dir, { recursive: true, force: true });
}

function findChromium(): string {
	const named = process.env["CHROMIUM_PATH"];
	if (named !== undefined && named !== "") {
		if (!isExecutable(named)) {
			throw new Error(`CHROMIUM_PATH is ${named}, which cannot be executed`);
		}
		return named;
	}
	const dirs = (process.env["PATH"] ?? "").split(delimiter);
	const candidates = CHROMIUM_NAMES.flatMap((name) => dirs.map((dir) => join(dir, name)));
	const found = [...candidates, ...CHROMIUM_PATHS].find(isExecutable);
	if (found === undefined) {
		throw new Error(
			'no Chromium or Chrome found: install one ("apt-get install chromium"), or set CHROMIUM_PATH',
		);
	}
	return found;
}

function isExecutable(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
