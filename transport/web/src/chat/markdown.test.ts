import { describe, expect, test } from "vitest";
import { isLink, parseOpen, parseWhole, type Tokens } from "./markdown.ts";

/** The types of the blocks at the top. */
function blocks(tokens: Tokens): string[] {
	return tokens.filter(({ level, nesting }) => level === 0 && nesting >= 0).map(({ type }) => type);
}

test("a link leads to the web, or to somebody's mailbox", () => {
	expect(["https://a.b/c", "http://a.b", "mailto:a@b.c"].filter(isLink)).toHaveLength(3);
	const others = ["javascript:a", "data:text/html,a", "/v1/status", "a", "", "vbscript:a", "//a.b"];
	expect(others.filter(isLink)).toEqual([]);
});

/** What a reader sees of it, but for the marks of quotes and lists. */
function textOf(tokens: Tokens): string {
	return tokens.map(({ content, children }) => (children ? textOf(children) : content)).join("");
}

test.each([
	["quotes", `${"> ".repeat(1_000)}deep`],
	["lists", Array.from({ length: 1_000 }, (_, n) => `${" ".repeat(2 * n)}- a`).join("\n")],
	["lists in a line", `${"- ".repeat(1_000)}deep`],
	["lists in quotes", `${"> - ".repeat(500)}deep\n\nafter`],
])("%s, however deep, lose no text", (_, text) => {
	const tokens = parseWhole(text);
	expect(textOf(tokens).replace(/[^a-z]/g, "")).toBe(text.replace(/[^a-z]/g, ""));
	expect(Math.max(...tokens.map(({ level }) => level))).toBeLessThan(100);
});

describe("what is settled", () => {
	test("all but the last block", () => {
		const { settled, open, openAt } = parseOpen("a\n\nb\n\nc\n");
		expect(blocks(settled)).toHaveLength(2);
		expect(blocks(open)).toHaveLength(1);
		expect(openAt).toBe(6);
	});

	test("nor the one before it, while the last is a line without its end", () => {
		const list = "1. a\n\n2"; // "2. b" would go on with the list
		expect(parseOpen(list)).toMatchObject({ settled: [], openAt: 0 });
		expect(blocks(parseOpen(`x\n\n${list}`).settled)).toEqual(["paragraph_open"]);
		expect(blocks(parseOpen(`x\n\n${list}\n`).open)).toEqual(["paragraph_open"]);
	});

	test("nothing of a fence without its end", () => {
		const { settled, open, openAt } = parseOpen("a\r\n\r\n```js\r\n  b\r\n\r\n# c");
		expect(blocks(settled)).toHaveLength(1);
		expect(openAt).toBe(5);
		expect(open).toMatchObject([{ type: "fence", info: "js", content: "  b\n\n# c" }]);
	});

	test("however a text comes, what is settled is what it is in the whole", () => {
		const whole =
			"# a\n\nb\nc\n===\n\n- d\n\n  e\n- f\n\n1. g\n\n2. h\n\n    i\n\n> j\nk\n\n| l |\n|---|\n| m |\n\n~~~\nn\n~~~\n\no\n";
		let at = 0;
		const types: string[] = [];
		for (let end = 1; end <= whole.length; end++) {
			const { settled, openAt } = parseOpen(whole.slice(at, end));
			types.push(...blocks(settled));
			at += openAt;
		}
		types.push(...blocks(parseWhole(whole.slice(at))));
		expect(types).toEqual(blocks(parseWhole(whole)));
	});

	test("a long text costs no more at its end: two blocks are open at most", () => {
		let [text, at] = ["", 0];
		for (let n = 0; n < 2_000; n++) {
			text += `paragraph *${n}*\n\n`;
			const parsed = parseOpen(text.slice(at));
			expect(blocks(parsed.open).length).toBeLessThanOrEqual(2);
			at += parsed.openAt;
			expect(text.length - at).toBeLessThan(50);
		}
	});
});
