import { defineConfig } from "tsdown";

export default defineConfig({
	entry: ["src/index.ts"],
	format: ["esm", "cjs"],
	target: "es2023",
	platform: "node",
	fixedExtension: false,
	tsconfig: "src/tsconfig.json",
	dts: true,
	sourcemap: false,
});
