import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "tsdown";

/** What a page pays for the whole package, minified and gzipped. */
const LIMIT_BYTES = 6_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outDir = join(root, "node_modules/.cache/size");

await build({
	config: false,
	entry: join(root, "dist/index.js"),
	outDir,
	format: "esm",
	platform: "neutral",
	minify: true,
	dts: false,
	logLevel: "error",
});

const size = gzipSync(readFileSync(join(outDir, "index.js")), { level: 9 }).length;
console.log(`@ringcast/client: ${size} of ${LIMIT_BYTES} bytes, minified and gzipped`);
if (size > LIMIT_BYTES) {
	process.exitCode = 1;
}
