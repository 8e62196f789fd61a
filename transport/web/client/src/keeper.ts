import { StreamError } from "./errors.ts";
import type { StreamStorage } from "./options.ts";

/** How often the last id is written: localStorage blocks the page and tells all other tabs. */
const WRITE_MS = 1_000;

/**
 * Keeps the last id for the next visit. Where a page ends without notice the one kept is
 * a second old at most, and what came since comes again: it is never ahead.
 */
export class Keeper {
	readonly #storage: StreamStorage | undefined;
	readonly #key: string;
	readonly #onerror: (error: StreamError) => void;
	#id!: string;
	#timer: ReturnType<typeof setTimeout> | undefined;

	constructor(
		storage: StreamStorage | undefined,
		key: string,
		onerror: (error: StreamError) => void,
	) {
		this.#storage = storage;
		this.#key = key;
		this.#onerror = onerror;
	}

	async read(): Promise<string> {
		return (await this.#try((storage) => storage.getItem(this.#key))) ?? "";
	}

	/** Takes over an id whose event every listener has had. */
	keep(id: string): void {
		this.#id = id;
		if (this.#storage !== undefined) {
			this.#timer ??= setTimeout(() => this.flush(), WRITE_MS);
		}
	}

	/** Writes what is not written yet. */
	flush(): void {
		if (this.#timer !== undefined) {
			clearTimeout(this.#timer);
			this.#timer = undefined;
			void this.#try((storage) => storage.setItem(this.#key, this.#id));
		}
	}

	async #try<T>(use: (storage: StreamStorage) => T): Promise<Awaited<T> | undefined> {
		try {
			return this.#storage && (await use(this.#storage));
		} catch (cause) {
			this.#onerror(new StreamError("storage", "nothing is kept", undefined, cause));
			return undefined;
		}
	}
}
