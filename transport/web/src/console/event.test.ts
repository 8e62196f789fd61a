import { expect, test } from "vitest";
import { preview, readEvent } from "./event.ts";

/** What a gateway writes: see AppendCloudEvent. */
const envelope = (rest: string) =>
	`{"specversion":"1.0","id":"7-abc","source":"urn:ringcast:S","type":"message","subject":"events.\\u003cb\\u003e","time":"2026-01-02T03:04:05.000000006Z"${rest}}`;

test("what every event has", () => {
	expect(readEvent(envelope(""))).toEqual({
		id: "7-abc",
		subject: "events.<b>",
		type: "message",
		time: "2026-01-02T03:04:05.000000006Z",
		payload: { kind: "text", text: "", size: 0 },
	});
});

test("JSON stays as it was written", () => {
	const { payload } = readEvent(
		envelope(
			',"datacontenttype":"application/json","data":{"n":12345678901234567890,"é":"\\u00e9"}',
		),
	);
	expect(payload).toEqual({
		kind: "json",
		text: '{"n":12345678901234567890,"é":"\\u00e9"}',
		size: 40,
	});
});

test("a JSON string is no text", () => {
	const { payload } = readEvent(envelope(',"datacontenttype":"application/json","data":"a b"'));
	expect(payload).toEqual({ kind: "json", text: '"a b"', size: 5 });
});

test("text is decoded, and a row has it on one line", () => {
	const { payload } = readEvent(
		envelope(',"datacontenttype":"text/plain","data":"  \\u003cb\\u003e\\r\\n\\tü"'),
	);
	expect(payload).toEqual({ kind: "text", text: "  <b>\r\n\tü", size: 10 });
	expect(preview(payload)).toBe(" <b> ü");
});

test("bytes are bytes", () => {
	const { payload } = readEvent(
		envelope(',"datacontenttype":"application/octet-stream","data_base64":"3q2+7wA="'),
	);
	expect(payload.size).toBe(5);
	expect(preview(payload)).toBe("de ad be ef 00");
});

test("a preview is short, whatever the payload", () => {
	const text = "x".repeat(100_000);
	expect(preview({ kind: "text", text, size: text.length }).length).toBe(300);
});
