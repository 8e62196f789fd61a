const BYTES_PER_LINE = 16;

/** Bytes as `hexdump -C` shows them, without its repetitions left out. */
export function hexDump(bytes: Uint8Array): string {
	const lines: string[] = [];
	for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
		const line = bytes.subarray(at, at + BYTES_PER_LINE);
		const offset = at.toString(16).padStart(8, "0");
		const left = hex(line.subarray(0, 8)).padEnd(23);
		const right = hex(line.subarray(8)).padEnd(23);
		lines.push(`${offset}  ${left}  ${right}  |${ascii(line)}|`);
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
