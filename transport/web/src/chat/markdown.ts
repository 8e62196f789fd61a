import MarkdownIt, { type Token } from "markdown-it";

export type { Token };
export type Tokens = readonly Token[];

/**
 * How deep quotes and lists, which count twice, go into each other. What is deeper is text: the
 * parser has a limit of its own, 100, behind which it drops everything.
 */
const MOST_LEVELS = 80;

/** No HTML: what looks like it is text. */
const markdown = new MarkdownIt({ html: false, linkify: true });
markdown.block.ruler.before("code", "deep", (state, startLine, endLine, silent) => {
	if (state.level < MOST_LEVELS || silent) {
		return false;
	}
	const map: [number, number] = [startLine, endLine];
	state.push("paragraph_open", "p", 1).map = map;
	const text = state.push("text", "", 0);
	text.content = state.getLines(startLine, endLine, state.blkIndent, false).trimEnd();
	state.push("paragraph_close", "p", -1);
	state.line = endLine;
	return true;
});
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
markdown.validateLink = isLink;

/** Whether a link may lead there. A worker's text has no business with the gateway's own pages. */
export function isLink(url: string): boolean {
	try {
		return ["http:", "https:", "mailto:"].includes(new URL(url).protocol); // no base: not relative
	} catch {
		return false;
	}
}

/** A text whose end is still to come, in two parts of Markdown. */
export interface Parsed {
	/** Blocks that no text after them changes, but for definitions of links. */
	readonly settled: Tokens;
	/** The others. */
	readonly open: Tokens;
	/** Where these begin. */
	readonly openAt: number;
}

/**
 * Parses a text that may begin at any of its blocks.
 *
 * The last block is open, and also the one before it until the first line of the last is whole: "2" may
 * become the "2." that continues a list. Nothing else that comes can change what is before them.
 */
export function parseOpen(text: string): Parsed {
	const tokens = parseWhole(text);
	const starts = tokens.flatMap(({ level, nesting, map }, at) =>
		level === 0 && nesting >= 0 && map !== null ? [{ at, line: map[0] }] : [],
	);
	const last = starts.at(-1);
	if (last === undefined) {
		return { settled: [], open: tokens, openAt: 0 };
	}
	const offset = lineOffset(text, last.line);
	if (text.indexOf("\n", offset) >= 0) {
		return { settled: tokens.slice(0, last.at), open: tokens.slice(last.at), openAt: offset };
	}
	const before = starts.at(-2);
	if (before === undefined) {
		return { settled: [], open: tokens, openAt: 0 };
	}
	return {
		settled: tokens.slice(0, before.at),
		open: tokens.slice(before.at),
		openAt: lineOffset(text, before.line),
	};
}

/** Parses a text that is whole. */
export function parseWhole(text: string): Tokens {
	return markdown.parse(text, {});
}

/** Where a line begins, as Markdown counts them: a line ends with LF, CRLF or CR. */
function lineOffset(text: string, line: number): number {
	const ends = /\r\n?|\n/g;
	for (let n = 0; n < line && ends.exec(text) !== null; n++) {
		// the expression goes on by itself
	}
	return line === 0 ? 0 : ends.lastIndex;
}
