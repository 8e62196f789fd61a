import { expect, test } from "vitest";
import { MAX_NOTICES, NoticeFeed, parseNotice } from "./notices.ts";

test("a notification is read as the demo publishes it", () => {
	const data = '{"user":"bob","title":"Hi","body":"there","time":"2026-01-02T03:04:05Z"}';
	expect(parseNotice("1-a", data)).toEqual({
		id: "1-a",
		user: "bob",
		title: "Hi",
		body: "there",
		time: Date.UTC(2026, 0, 2, 3, 4, 5),
	});
});

test.each(["plain text", '"a string"', "[1,2]", "17", "null", '{"other":true}'])(
	"%s is shown as it is",
	(data) => {
		expect(parseNotice("1-a", data)).toMatchObject({ title: data, body: "" });
	},
);

test("a text of any length takes a bounded place", () => {
	const notice = parseNotice("1-a", JSON.stringify({ title: "x".repeat(1e6) }));
	expect(notice.title.length).toBeLessThan(1000);
});

test("the newest come first, and a bounded number is kept", () => {
	const feed = new NoticeFeed();
	for (let i = 1; i <= MAX_NOTICES + 10; i++) {
		feed.add(parseNotice(`${i}-a`, "text"));
	}
	expect(feed.all()).toHaveLength(MAX_NOTICES);
	expect(feed.all()[0]?.id).toBe(`${MAX_NOTICES + 10}-a`);
});

test("history and stream may come in any order, and bring the same one", () => {
	const feed = new NoticeFeed();
	for (const id of ["12-a", "10-a", "11-a", "12-a", "10-a", "9-a"]) {
		feed.add(parseNotice(id, "text"));
	}
	expect(feed.all().map((n) => n.id)).toEqual(["12-a", "11-a", "10-a", "9-a"]);
	feed.clear();
	expect(feed.all()).toEqual([]);
});
