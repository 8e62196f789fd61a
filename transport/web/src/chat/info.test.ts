import { expect, test } from "vitest";
import { addReferences, isAsCounted, readCount, readReferences } from "./info.ts";

test("a reference leads somewhere, and has a title", () => {
	const references = [
		{ title: "t", url: "https://a.b/" },
		{ url: "https://c.d/" },
		{ title: "t", url: "javascript:alert(1)" },
		{ title: "t" },
		null,
	];
	expect(readReferences({ references })).toEqual([
		{ title: "t", url: "https://a.b/" },
		{ title: "https://c.d/", url: "https://c.d/" },
	]);
	for (const info of [undefined, null, "x", { references: {} }]) {
		expect(readReferences(info)).toEqual([]);
	}
});

test("references come again after a resume, and are shown once", () => {
	const a = { title: "a", url: "https://a/" };
	const b = { title: "b", url: "https://b/" };
	expect(addReferences([a, b], [a])).toEqual([a, b]);
});

test("a text is compared with what the worker has counted, byte for byte", async () => {
	const count = readCount({
		sha256: "4A99557E4033C3539DE2EB65472017CAD5F9557F7A0625A09F1C3F6E2BA69C4C",
		bytes: 2,
	});
	expect(count && (await isAsCounted("é", count))).toBe(true);
	expect(count && (await isAsCounted("e", count))).toBe(false);
	expect(readCount({ sha256: "00" })).toBeUndefined();
	expect(readCount("x")).toBeUndefined();
});
