import { compareIds, type EventId } from "../common/ids.ts";

/** How many single marks are kept; those of the oldest notices go first. */
export const MAX_MARKS = 500;

/** What is kept in the storage: everything up to an id, and single ones above it. */
interface Kept {
	readonly through: EventId;
	readonly single: readonly EventId[];
}

/** Which notifications of a user have been read, kept for the next visit. */
export class ReadMarks {
	private through: EventId = "";
	private single = new Set<EventId>();

	constructor(
		private readonly storage: Pick<Storage, "getItem" | "setItem">,
		private readonly key: string,
	) {
		this.load();
	}

	/** The id up to which everything has been read; empty for none. */
	get readThrough(): EventId {
		return this.through;
	}

	/** Takes over what another tab has kept. */
	load(): void {
		const { through, single } = parseKept(this.storage.getItem(this.key));
		this.through = through;
		this.single = new Set(single);
	}

	isRead(id: EventId): boolean {
		return (this.through !== "" && compareIds(id, this.through) <= 0) || this.single.has(id);
	}

	read(id: EventId): void {
		this.single.add(id);
		if (this.single.size > MAX_MARKS) {
			this.single = new Set([...this.single].sort(compareIds).slice(-MAX_MARKS));
		}
		this.keep();
	}

	/** Marks everything up to an id. */
	readAll(newest: EventId): void {
		this.through = newest;
		this.single.clear();
		this.keep();
	}

	/** The log began anew, and so do its ids. */
	clear(): void {
		this.readAll("");
	}

	private keep(): void {
		const kept: Kept = { through: this.through, single: [...this.single] };
		try {
			this.storage.setItem(this.key, JSON.stringify(kept));
		} catch (cause) {
			console.warn("the marks are not kept for the next visit:", cause);
		}
	}
}

/** Reads what was kept; what cannot be read counts as nothing. */
function parseKept(text: string | null): Kept {
	try {
		const { through, single } = JSON.parse(text ?? "") as Record<string, unknown>;
		if (typeof through === "string" && Array.isArray(single)) {
			return { through, single: single.filter((id) => typeof id === "string").slice(-MAX_MARKS) };
		}
	} catch {
		// fall through
	}
	return { through: "", single: [] };
}
