/** As many as fit into the panel, on a phone too. */
const BYTES_PER_LINE = 8;

/** Offsets, bytes and what of them is ASCII, line by line. */
export function hexDump(bytes: Uint8Array): string {
	const lines: string[] = [];
	for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
		const line = bytes.subarray(at, at + BYTES_PER_LINE);
		const offset = at.toString(16).padStart(4, "0");
		lines.push(`${offset}  ${hex(line).padEnd(3 * BYTES_PER_LINE - 1)}  ${ascii(line)}`);
	}
	return lines.join("\n");
}

/** "de ad be ef" */
export function hex(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function ascii(bytes: Uint8Array): string {
	return Array.from(bytes, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
}
