import { parseOpen, parseWhole } from "./markdown.ts";
import { makeNodes } from "./markup.ts";
import { patchChildren } from "./patch.ts";

/**
 * A text that grows, shown as Markdown. Each time it parses what is open alone, so that a long
 * answer costs no more than a short one; once it is whole, all of it, for the links that are defined
 * below their use.
 */
export class AnswerText {
	private text = "";
	/** How much of the text, and how many nodes, are as they will be. */
	private settledLength = 0;
	private settledNodes = 0;

	constructor(private readonly element: Element) {}

	/** Shows a text whose end is still to come. */
	show(text: string): void {
		if (!text.startsWith(this.text)) {
			this.clear();
		}
		this.text = text;
		const parsed = parseOpen(text.slice(this.settledLength));
		const nodes = makeNodes(parsed.settled);
		const settled = nodes.childNodes.length;
		nodes.append(makeNodes(parsed.open));
		patchChildren(this.element, this.settledNodes, nodes);
		this.settledNodes += settled;
		this.settledLength += parsed.openAt;
	}

	showWhole(text: string): void {
		this.clear();
		this.text = text;
		patchChildren(this.element, 0, makeNodes(parseWhole(text)));
	}

	private clear(): void {
		this.text = "";
		this.settledLength = this.settledNodes = 0;
	}
}
