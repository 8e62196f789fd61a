import { expect, test } from "vitest";
import { hex, hexDump } from "./hex.ts";

test("a dump", () => {
	const bytes = new TextEncoder().encode("\x00\x01 Hello, Wörld!\n~");
	expect(hexDump(bytes)).toBe(
		[
			"0000  00 01 20 48 65 6c 6c 6f  .. Hello",
			"0008  2c 20 57 c3 b6 72 6c 64  , W..rld",
			"0010  21 0a 7e                 !.~",
		].join("\n"),
	);
	expect(hexDump(new Uint8Array())).toBe("");
});

test("bytes in a row", () => {
	expect(hex(Uint8Array.of(0xde, 0xad, 0, 0xf))).toBe("de ad 00 0f");
});
