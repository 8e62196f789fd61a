import { describe, test } from "vitest";
import { comment, Harness, message, type Report, typed } from "./rig.ts";

/** What a stream in these parts says. */
type Case = [name: string, parts: (string | Uint8Array)[], reports: Report[]];

const BOM = "\uFEFF";

/** Cuts a text into pieces of n bytes. */
function pieces(text: string, n: number): Uint8Array[] {
	const bytes = new TextEncoder().encode(text);
	const all: Uint8Array[] = [];
	for (let i = 0; i < bytes.length; i += n) {
		all.push(bytes.subarray(i, i + n));
	}
	return all;
}

/** The harness's "basic parsing". */
const BASICS: Case[] = [
	["one line in one chunk", ["data: Hello\n\n"], [message("Hello")]],
	["one line in two chunks", ["data: Hel", "lo\n\n"], [message("Hello")]],
	[
		"two messages in one chunk",
		["data: Hello\n\ndata: World\n\n"],
		[message("Hello"), message("World")],
	],
	["one message of two lines", ["data: Hello\ndata:World\n\n"], [message("Hello\nWorld")]],
	["empty data", ["data:\n\n"], [message("")]],
	["type", ["event: greeting\ndata: Hello\n\n"], [typed("greeting", "Hello")]],
	["id", ["id: abc\ndata: Hello\n\n"], [message("Hello", "abc")]],
	[
		"type and id",
		["event: greeting\nid: abc\ndata: Hello\n\n"],
		[typed("greeting", "Hello", "abc")],
	],
	["id with NUL in it", ["id: a\0bc\ndata: Hello\n\n"], [message("Hello")]],
	["id stays", ["id: abc\ndata: a\n\n", "data: b\n\n"], [message("a", "abc"), message("b", "abc")]],
	[
		"id taken back",
		["id: abc\ndata: a\n\n", "id: \ndata: b\n\n"],
		[message("a", "abc"), message("b")],
	],
	[
		"fields in reverse",
		["data: Hello\nid: abc\nevent: greeting\n\n"],
		[typed("greeting", "Hello", "abc")],
	],
	[
		"unknown field",
		["event: greeting\ncolor: blue\ndata: Hello\n\n"],
		[typed("greeting", "Hello")],
	],
	["no leading space", ["event:greeting\ndata:Hello\n\n"], [typed("greeting", "Hello")]],
	["two leading spaces", ["event:  greeting\ndata:  Hello\n\n"], [typed(" greeting", " Hello")]],
	["no colon", ["data\n\ndata\ndata\n\n"], [message(""), message("\n")]],
	["characters of many bytes", ["data: €豆腐\n\n"], [message("€豆腐")]],
	["characters of many bytes, byte by byte", pieces("data: €豆腐\n\n", 1), [message("€豆腐")]],
];

/** The harness's "comments", at the end of the line, for nothing else may follow. */
const COMMENTS: Case[] = [
	["one", [":Hello\n"], [comment("Hello")]],
	["two", [":Hello\n", ":World\n"], [comment("Hello"), comment("World")]],
	["before an event", [":Hello\n", "data: Hello\n\n"], [comment("Hello"), message("Hello")]],
	["after an event", ["data: Hello\n\n", ":Hello\n"], [message("Hello"), comment("Hello")]],
	["inside an event", ["data: a\n: b:c \ndata: d\n\n"], [comment("b:c "), message("a\nd")]],
	["in two chunks", [":Hel", "lo\n"], [comment("Hello")]],
	["empty", [":\n"], [comment("")]],
];

/** The harness's "bom": one is taken off, at the start of the stream alone. */
const BYTE_ORDER_MARKS: Case[] = [
	["at the start", [`${BOM}data: Hello\n\n`], [message("Hello")]],
	[
		"before type and id",
		[`${BOM}event: greeting\nid: abc\ndata: Hello\n\n`],
		[typed("greeting", "Hello", "abc")],
	],
	["before two messages", [`${BOM}data: a\n\ndata: b\n\n`], [message("a"), message("b")]],
	["later", ["data: a\n\n", `data: ${BOM}b\n\n`], [message("a"), message(`${BOM}b`)]],
	["in two chunks", pieces(`${BOM}data: Hello\n\n`, 2), [message("Hello")]],
	["in three chunks", pieces(`${BOM}data: Hello\n\n`, 1), [message("Hello")]],
	["twice", [`${BOM}data: ${BOM}Hello\n\n`], [message(`${BOM}Hello`)]],
	["before two lines", [`${BOM}data: a\ndata: b\n\n`], [message("a\nb")]],
	["before a comment", [`${BOM}:comment\ndata: Hello\n\n`], [comment("comment"), message("Hello")]],
	["before empty data", [`${BOM}data:\n\n`], [message("")]],
	["two at the start", [`${BOM}${BOM}data: a\n\ndata: b\n\n`], [message("b")]],
	["none", ["data: Hello\n\n"], [message("Hello")]],
];

/** The harness's "linefeeds": each stream with each line end, in one chunk and in small ones. */
const LINEFEEDS: Case[] = ["\n", "\r\n", "\r"].flatMap((end) =>
	(
		[
			["one line", "data: 1\n\n", [message("1")]],
			[
				"one line, then two",
				"data: 1\n\ndata: 2 1\ndata: 2 2\n\n",
				[message("1"), message("2 1\n2 2")],
			],
			["an empty line first", "data:\ndata: 2\ndata: 3\n\n", [message("\n2\n3")]],
			["an empty line between", "data: 1\ndata:\ndata: 3\n\n", [message("1\n\n3")]],
			["one blank line more", "data: 1\n\n\ndata: 2\n\n", [message("1"), message("2")]],
			["two blank lines more", "data: 1\n\n\n\ndata: 2\n\n", [message("1"), message("2")]],
		] as const
	).flatMap(([name, lines, reports]) => {
		const text = lines.replaceAll("\n", end);
		return [text.length, 1, 2].map(
			(n): Case => [
				`${name}, ${JSON.stringify(end)}, ${n} at a time`,
				pieces(text, n),
				[...reports],
			],
		);
	}),
);
LINEFEEDS.push([
	"CRLF in two chunks",
	["data: Hello\r", "\ndata: World\r", "\n\r\ndata: OK\r", "\n", "\r", "\n"],
	[message("Hello\nWorld"), message("OK")],
]);

const harness = new Harness();

describe.each([
	["basics", BASICS],
	["comments", COMMENTS],
	["byte order marks", BYTE_ORDER_MARKS],
	["linefeeds", LINEFEEDS],
])("%s", (_, cases) => {
	test.each(cases)("%s", async (_, parts, reports) => {
		const follower = await harness.follow();
		const stream = await follower.connected();
		for (const report of reports) {
			if (report.kind === "event" && report.event.type !== "message") {
				await follower.listen(report.event.type);
			}
		}
		await stream.send(...parts);
		await follower.reported(...reports);
		stream.cut();
		await follower.failed(); // and nothing else before
	});
});

test("many messages in rapid succession come in order", async () => {
	const follower = await harness.follow();
	const messages = Array.from({ length: 100 }, (_, i) => `message ${i}`);
	await (await follower.connected()).send(messages.map((data) => `data: ${data}\n\n`).join(""));
	await follower.reported(...messages.map((data) => message(data)));
});

test("of the other types those listened for are reported, once however often it was said", async () => {
	const follower = await harness.follow();
	await follower.listen("b");
	await follower.listen("b");
	await (await follower.connected()).send(
		"event: a\ndata: 1\nid: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n",
	);
	await follower.reported(typed("b", "2", "1"), message("3", "1"));
});
