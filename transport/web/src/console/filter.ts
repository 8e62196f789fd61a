/** What the console streams: the parameters that it has in common with the page's own URL. */
export interface Filter {
	readonly subjects: readonly string[];
	/** Empty for all. */
	readonly types: readonly string[];
	/** As the gateway takes it: now, oldest, last, an id, a time, or a duration back. */
	readonly from: string;
}

export const DEFAULT_FROM = "now";

/** Reads what one types into a field: neither a subject nor a list has white space or commas in it. */
export function parseSubjects(text: string): string[] {
	return unique(text.split(/[\s,]+/));
}

/** A type may have a space in it, but no comma. */
export function parseTypes(text: string): string[] {
	return unique(text.split(",").map((type) => type.trim()));
}

/** Reads the filter from the page's query. What is not there stands for the default. */
export function filterOfQuery(search: string): Filter {
	const query = new URLSearchParams(search);
	return {
		subjects: unique(query.getAll("subject")),
		types: unique(query.getAll("type")),
		from: query.get("from") ?? DEFAULT_FROM,
	};
}

/** Writes it: a link to the page with this query shows the same. */
export function queryOfFilter(filter: Filter): string {
	const query = new URLSearchParams();
	for (const subject of filter.subjects) {
		query.append("subject", subject);
	}
	for (const type of filter.types) {
		query.append("type", type);
	}
	if (filter.from !== DEFAULT_FROM) {
		query.set("from", filter.from);
	}
	const text = String(query);
	return text === "" ? "" : `?${text}`;
}

/** A subject that a pattern matches, to show how one publishes to it. */
export function exampleOf(pattern: string): string {
	return pattern.replace(/(^|\.)\*(?=\.|$)/g, "$1x").replace(/(^|\.)>$/, "$1hello");
}

function unique(parts: readonly string[]): string[] {
	return [...new Set(parts.filter((part) => part !== ""))];
}
