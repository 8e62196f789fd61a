/**
 * JSON as text. To parse a payload and write it anew would change it: 1.0 would be 1,
 * and 12345678901234567890 some other number.
 */

/**
 * The source text of an object's members, by name. The text must be valid JSON with an
 * object outermost: it is what a gateway wrote.
 */
export function members(json: string): Map<string, string> {
	const found = new Map<string, string>();
	let at = json.indexOf("{") + 1;
	for (;;) {
		const name = json.indexOf('"', at);
		if (name < 0) {
			return found;
		}
		const colon = json.indexOf(":", endOfString(json, name));
		const end = endOfValue(json, colon + 1);
		found.set(
			JSON.parse(json.slice(name, endOfString(json, name))),
			json.slice(colon + 1, end).trim(),
		);
		at = end + 1;
	}
}

/** Returns the index behind the string that begins at `start`. */
function endOfString(json: string, start: number): number {
	let end = start;
	let escaped = true;
	while (escaped) {
		end = json.indexOf('"', end + 1);
		if (end < 0) {
			return json.length;
		}
		let backslashes = 0;
		while (json[end - 1 - backslashes] === "\\") {
			backslashes++;
		}
		escaped = backslashes % 2 === 1;
	}
	return end + 1;
}

/** Returns the index of what ends the value that begins at `start`: a comma or a bracket. */
function endOfValue(json: string, start: number): number {
	let depth = 0;
	for (let i = start; i < json.length; i++) {
		const c = json[i] as string;
		if (c === '"') {
			i = endOfString(json, i) - 1;
		} else if (c === "{" || c === "[") {
			depth++;
		} else if (c === "}" || c === "]") {
			if (depth === 0) {
				return i;
			}
			depth--;
		} else if (c === "," && depth === 0) {
			return i;
		}
	}
	return json.length;
}

/** Breaks JSON without white space into lines, and indents them. Nothing else changes. */
export function indent(json: string): string {
	const parts: string[] = [];
	let depth = 0;
	const newLine = () => parts.push("\n", "  ".repeat(depth));
	for (let i = 0; i < json.length; i++) {
		const c = json[i] as string;
		if (c === '"') {
			const end = endOfString(json, i);
			parts.push(json.slice(i, end));
			i = end - 1;
		} else if ((c === "{" || c === "[") && (json[i + 1] === "}" || json[i + 1] === "]")) {
			parts.push(c, json[++i] as string);
		} else if (c === "{" || c === "[") {
			depth++;
			parts.push(c);
			newLine();
		} else if (c === "}" || c === "]") {
			depth--;
			newLine();
			parts.push(c);
		} else if (c === ",") {
			parts.push(c);
			newLine();
		} else {
			parts.push(c === ":" ? ": " : c);
		}
	}
	return parts.join("");
}
