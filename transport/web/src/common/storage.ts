/** As much of the browser's storage as the pages use. */
export type PageStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** The browser's storage; where it is blocked, one that lasts as long as the page. */
export function openStorage(open: () => Storage): PageStorage {
	try {
		return open(); // throws where cookies are blocked
	} catch {
		const items = new Map<string, string>();
		return {
			getItem: (key) => items.get(key) ?? null,
			setItem: (key, value) => void items.set(key, value),
			removeItem: (key) => void items.delete(key),
		};
	}
}
