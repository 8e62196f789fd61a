import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "tsdown";

/**
 * What a page pays at most for all of an entry, in bytes, minified and gzipped. What
 * entries share is counted in each.
 */
const LIMITS = {
	index: 6_000,
	ask: 7_500,
	tickets: 3_000,
	react: 9_000,
	shared: 9_500,
	"shared-worker": 8_000,
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string} entry */
async function sizeOf(entry) {
	const outDir = join(root, "node_modules/.cache/size", entry);
	await build({
		config: false,
		entry: join(root, `dist/${entry}.js`),
		outDir,
		format: "esm",
		platform: "neutral",
		minify: true,
		dts: false,
		logLevel: "error",
	});
	return gzipSync(readFileSync(join(outDir, `${entry}.js`)), { level: 9 }).length;
}

for (const [entry, limit] of Object.entries(LIMITS)) {
	const size = await sizeOf(entry);
	console.log(`${entry}: ${size} of ${limit} bytes, minified and gzipped`);
	if (size > limit) {
		process.exitCode = 1;
	}
}
