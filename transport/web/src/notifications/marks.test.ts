import { expect, test, vi } from "vitest";
import { MAX_MARKS, ReadMarks } from "./marks.ts";

/** A storage of one key. */
function storageOf(text: string | null = null) {
	return {
		text,
		getItem() {
			return this.text;
		},
		setItem(_: string, value: string) {
			this.text = value;
		},
	};
}

test("single marks and those up to an id outlast the visit", () => {
	const storage = storageOf();
	const marks = new ReadMarks(storage, "read");
	marks.readAll("9-a");
	marks.read("12-b");
	const again = new ReadMarks(storage, "read");
	expect(["8-z", "9-a", "10-a", "12-b", "13-c"].map((id) => again.isRead(id))).toEqual([
		true,
		true,
		false,
		true,
		false,
	]);
	expect(again.readThrough).toBe("9-a");
});

test("a log that began anew has nothing read", () => {
	const marks = new ReadMarks(storageOf(), "read");
	marks.readAll("900-a");
	marks.clear();
	expect(marks.isRead("1-b")).toBe(false);
});

test("the number of single marks is bounded; the oldest go", () => {
	const storage = storageOf();
	const marks = new ReadMarks(storage, "read");
	for (let i = 1; i <= MAX_MARKS + 10; i++) {
		marks.read(`${i}-a`);
	}
	expect(marks.isRead("10-a")).toBe(false);
	expect(marks.isRead("11-a")).toBe(true);
	expect(JSON.parse(storage.text ?? "").single).toHaveLength(MAX_MARKS);
});

test.each(["", "null", "17", "not JSON", '{"through":7,"single":[]}', '{"through":"1-a"}'])(
	"%s in the storage counts as nothing",
	(text) => {
		expect(new ReadMarks(storageOf(text), "read").readThrough).toBe("");
	},
);

test("a storage that is full costs the next visit the marks, and nothing else", () => {
	const full = {
		getItem: () => null,
		setItem: () => {
			throw new Error("quota");
		},
	};
	const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	const marks = new ReadMarks(full, "read");
	marks.read("1-a");
	expect(warn).toHaveBeenCalledOnce();
	warn.mockRestore();
	expect(marks.isRead("1-a")).toBe(true);
});
