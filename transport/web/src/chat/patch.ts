/**
 * Makes children be what others are, changing no more than differs: what is selected
 * stays so, and a block that was scrolled stays where it is.
 *
 * @param first the child from which on
 */
export function patchChildren(parent: Node, first: number, wanted: Node): void {
	const { childNodes } = parent;
	let at = first;
	for (const fresh of [...wanted.childNodes]) {
		const there = childNodes[at++];
		if (there === undefined) {
			parent.appendChild(fresh);
		} else if (!patch(there, fresh)) {
			parent.replaceChild(fresh, there);
		}
	}
	while (childNodes.length > at) {
		parent.lastChild?.remove();
	}
}

/** Makes a node be what another is, if it can. */
function patch(there: Node, fresh: Node): boolean {
	if (there instanceof Text && fresh instanceof Text) {
		patchText(there, fresh.data);
		return true;
	}
	if (
		!(there instanceof Element && fresh instanceof Element) ||
		!there.cloneNode(false).isEqualNode(fresh.cloneNode(false))
	) {
		return false;
	}
	patchChildren(there, 0, fresh);
	return true;
}

function patchText(there: Text, wanted: string): void {
	if (wanted.startsWith(there.data)) {
		there.appendData(wanted.slice(there.data.length)); // a selection in it stays
	} else {
		there.data = wanted;
	}
}
