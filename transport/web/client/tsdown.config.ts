import { defineConfig } from "tsdown";

export default defineConfig({
	entry: [
		"src/index.ts",
		"src/ask.ts",
		"src/tickets.ts",
		"src/react.ts",
		"src/shared.ts",
		"src/shared-worker.ts",
	],
	format: ["esm", "cjs"],
	target: "es2022",
	platform: "neutral",
	tsconfig: "src/tsconfig.json",
	dts: true,
	sourcemap: false,
	// eventsource-parser is ESM alone: bundled, it comes with the CommonJS build too.
	deps: { alwaysBundle: ["eventsource-parser"], onlyBundle: false },
});
