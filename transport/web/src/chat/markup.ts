import { isLink, type Token, type Tokens } from "./markdown.ts";

/**
 * The elements that an answer can have, by Markdown's. Headings are below those of the page.
 * Everything is made by name and every text is a text node: no markup is made from
 * strings, which the page's policy forbids too.
 */
const ELEMENTS: Readonly<Record<string, string>> = {
	...Object.fromEntries(
		["h1", "h2", "h3", "h4", "h5", "h6"].map((h, i) => [h, `h${Math.min(i + 3, 6)}`]),
	),
	...Object.fromEntries(
		["p", "ul", "ol", "li", "blockquote", "em", "strong", "s", "hr", "br", "a"].map((e) => [e, e]),
	),
	...Object.fromEntries(["table", "thead", "tbody", "tr", "th", "td"].map((e) => [e, e])),
};

/** Makes the nodes of tokens. */
export function makeNodes(tokens: Tokens): DocumentFragment {
	const whole = document.createDocumentFragment();
	const open: Node[] = [whole];
	for (const token of tokens) {
		const into = open.at(-1) as Node;
		if (token.hidden) {
			continue; // the paragraphs of a tight list
		}
		if (token.nesting === 1) {
			const element = makeElement(token);
			into.appendChild(element.localName === "table" ? scrolled(element) : element);
			open.push(element);
		} else if (token.nesting === -1) {
			open.pop();
		} else {
			into.appendChild(makeLeaf(token));
		}
	}
	return whole;
}

function makeElement({ tag, attrs }: Token): HTMLElement {
	const element = document.createElement(ELEMENTS[tag] ?? "span");
	for (const [name, value] of attrs ?? []) {
		if (name === "href" && element instanceof HTMLAnchorElement) {
			pointTo(element, `${value}`);
		} else if (name === "start" && element instanceof HTMLOListElement) {
			element.start = Number(value);
		} else if (name === "style" && value === "text-align:right") {
			element.className = "num";
		} else if (name === "title") {
			element.title = `${value}`;
		}
	}
	return element;
}

function makeLeaf(token: Token): Node {
	switch (token.type) {
		case "inline":
			return makeNodes(token.children ?? []);
		case "fence":
		case "code_block":
			return makeBlock(token);
		case "code_inline":
			return withText("code", token.content);
		case "softbreak":
			return document.createTextNode("\n");
		case "hardbreak":
		case "hr":
			return document.createElement(token.tag);
		case "image":
			return makeImageLink(token);
		default:
			return document.createTextNode(token.content);
	}
}

/** Code, every space of it. A fence that has no end yet is one all the same. */
function makeBlock({ content, info }: Token): HTMLElement {
	const block = document.createElement("pre");
	block.tabIndex = 0; // to scroll it by keyboard
	const language = info.trim().split(/\s/)[0] ?? "";
	if (language !== "") {
		block.dataset["language"] = language;
	}
	block.append(withText("code", content));
	return block;
}

/** The page loads nothing from elsewhere: an image is a link to it. */
function makeImageLink(token: Token): Node {
	const link = withText("a", token.content || "image") as HTMLAnchorElement;
	pointTo(link, `${token.attrGet("src")}`);
	return link;
}

/** Sets where a link leads, if it may lead there; without, it is text. */
export function pointTo(link: HTMLAnchorElement, url: string): void {
	if (isLink(url)) {
		link.href = url;
		link.rel = "noopener noreferrer nofollow";
		link.target = "_blank";
	}
}

function withText(name: string, text: string): HTMLElement {
	const element = document.createElement(name);
	element.textContent = text;
	return element;
}

function scrolled(table: HTMLElement): HTMLElement {
	const frame = document.createElement("div");
	frame.className = "scrolled";
	frame.tabIndex = 0;
	frame.append(table);
	return frame;
}
