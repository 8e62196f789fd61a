import { type Browser, chromium } from "playwright-core";
import { inject } from "vitest";

const FLAGS = [
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-gpu",
	"--disable-quic",
	"--disable-sync",
	"--no-first-run",
];

/** Starts the browser, with an empty profile. */
export async function launch(): Promise<Browser> {
	const isRoot = process.getuid?.() === 0; // Chromium's sandbox refuses to run as root
	return await chromium.launch({
		executablePath: inject("chromium"),
		args: isRoot ? [...FLAGS, "--no-sandbox"] : FLAGS,
	});
}
