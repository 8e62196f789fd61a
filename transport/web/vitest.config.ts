import { defineConfig } from "vitest/config";

/** What talks to a gateway or a browser takes its time on a busy machine. */
const patience = {
	testTimeout: 60_000,
	hookTimeout: 60_000,
	expect: { poll: { timeout: 30_000 } },
};

/** Two files at a time, each with a gateway and a browser of its own. */
const sideBySide = { maxWorkers: 2, sequence: { groupOrder: 0 } };

/** After the others, and one at a time: what counts frames, or connections that load makes more. */
const alone = { fileParallelism: false, sequence: { groupOrder: 1 } };

export default defineConfig({
	test: {
		globalSetup: "testing/setup.ts",
		projects: [
			{ test: { name: "pages", include: ["src/**/*.test.ts"], ...sideBySide } },
			{
				test: {
					name: "client",
					include: ["client/test/**/*.test.ts"],
					...patience,
					...sideBySide,
				},
			},
			{
				test: {
					name: "worker",
					include: ["worker/test/**/*.test.ts"],
					...patience,
					...sideBySide,
				},
			},
			{
				test: {
					name: "contract",
					include: ["client/contract/**/*.test.ts"],
					...patience,
					...sideBySide,
				},
			},
			{
				test: {
					name: "browser",
					include: ["client/browser/**/*.test.ts"],
					...patience,
					...sideBySide,
				},
			},
			{
				test: {
					name: "clients",
					include: ["clients/**/*.test.ts"],
					globalSetup: "clients/setup.ts",
					maxConcurrency: 8,
					...patience,
					...alone,
				},
			},
			{ test: { name: "e2e", include: ["e2e/**/*.test.ts"], ...patience, ...alone } },
		],
	},
});
