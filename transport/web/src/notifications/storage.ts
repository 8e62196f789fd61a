/** The browser's storage; where it is blocked, one that lasts as long as the page. */
export const storage: Pick<Storage, "getItem" | "setItem"> = openStorage();

function openStorage(): Pick<Storage, "getItem" | "setItem"> {
	try {
		return window.localStorage; // throws where cookies are blocked
	} catch {
		const items = new Map<string, string>();
		return {
			getItem: (key) => items.get(key) ?? null,
			setItem: (key, value) => void items.set(key, value),
		};
	}
}
