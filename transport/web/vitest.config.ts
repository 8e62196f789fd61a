import { defineConfig } from "vitest/config";

/** What talks to a gateway or a browser takes its time on a busy machine. */
const patience = {
	testTimeout: 60_000,
	hookTimeout: 60_000,
	expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
	test: {
		globalSetup: "testing/setup.ts",
		// Many files have a gateway and a browser of their own: one at a time.
		fileParallelism: false,
		projects: [
			{ test: { name: "pages", include: ["src/**/*.test.ts"] } },
			{ test: { name: "client", include: ["client/test/**/*.test.ts"], ...patience } },
			{ test: { name: "contract", include: ["client/contract/**/*.test.ts"], ...patience } },
			{ test: { name: "browser", include: ["client/browser/**/*.test.ts"], ...patience } },
			{
				test: {
					name: "clients",
					include: ["clients/**/*.test.ts"],
					globalSetup: "clients/setup.ts",
					maxConcurrency: 8,
					...patience,
				},
			},
			{ test: { name: "e2e", include: ["e2e/**/*.test.ts"], ...patience } },
		],
	},
});
