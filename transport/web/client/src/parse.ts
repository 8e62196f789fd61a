/** Parses JSON; what is none is handed over as the text that it is. */
export function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}
