/**
 * Fails unless dist is what a fresh build of src gives. The bundle is committed so
 * that building the gateway needs Go alone; this is what keeps it true to src.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "vite";

const committed = resolve(import.meta.dirname, "../dist");

/**
 * Returns the files below a directory with their content.
 *
 * @param {string} root
 */
function filesOf(root) {
	const names = readdirSync(root, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));
	return new Map(names.map((name) => [name.slice(root.length + 1), readFileSync(name)]));
}

const fresh = mkdtempSync(join(tmpdir(), "ringcast-dist-"));
try {
	await build({ logLevel: "warn", build: { outDir: fresh } });
	const want = filesOf(fresh);
	const have = filesOf(committed);
	const stale = [...new Set([...want.keys(), ...have.keys()])].filter(
		(name) => !want.get(name)?.equals(have.get(name) ?? Buffer.alloc(0)),
	);
	if (stale.length > 0) {
		console.error(`dist is not what src builds (npm run build): ${stale.sort().join(", ")}`);
		process.exitCode = 1;
	} else {
		console.log(`dist is what src builds: ${have.size} files`);
	}
} finally {
	rmSync(fresh, { recursive: true, force: true });
}
