/** Returns the page's element with this id, which index.html promises. */
export function byId<T extends Element>(id: string, type: new () => T): T {
	return expectType(document.getElementById(id), type, `#${id}`);
}

/** Returns the first element within root that matches. */
export function find<T extends Element>(root: ParentNode, selector: string, type: new () => T): T {
	return expectType(root.querySelector(selector), type, selector);
}

/** Makes a copy of a template's one element. */
export function cloneTemplate<T extends Element>(id: string, type: new () => T): T {
	const copy = byId(id, HTMLTemplateElement).content.cloneNode(true) as DocumentFragment;
	return expectType(copy.firstElementChild, type, `#${id} > *`);
}

/** Sets an element's text. Event data reaches the page here and nowhere else. */
export function setText(element: Element, text: string): void {
	if (element.textContent !== text) {
		element.textContent = text;
	}
}

function expectType<T>(element: Element | null, type: new () => T, what: string): T {
	if (!(element instanceof type)) {
		throw new Error(`the page has no ${type.name} ${what}`);
	}
	return element;
}
