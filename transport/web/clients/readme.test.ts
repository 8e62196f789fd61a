import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { IN_BROWSER } from "./in-browser.ts";
import { IN_NODE } from "./in-node.ts";

const README = resolve(import.meta.dirname, "../client/README.md");

/** The client's README says what is measured here, and nothing else. */
test("What other clients get wrong", () => {
	const [, section = ""] = readFileSync(README, "utf8").split("## What other clients get wrong\n");
	const [table = ""] = section.split("\n## ");
	const [, , ...rows] = table.split("\n").filter((line) => line.startsWith("|"));
	expect(rows).toEqual([...new Set(quirks())]);
});

function* quirks(): Generator<string> {
	for (const { name, quirks } of [...IN_BROWSER, ...IN_NODE]) {
		for (const { does, around } of Object.values(quirks)) {
			yield `| ${name} | ${does} | ${around?.says ?? "None found."} |`;
		}
	}
}
