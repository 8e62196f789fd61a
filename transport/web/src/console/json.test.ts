import { expect, test } from "vitest";
import { indent, members } from "./json.ts";

test("members are told apart by their brackets and strings", () => {
	const json = String.raw`{"id":"1-a","a\"}":"x\\","n":12345678901234567890,"o":{"b":[1,{"c":"}],\""}]},"e":{}}`;
	expect([...members(json)]).toEqual([
		["id", '"1-a"'],
		['a"}', String.raw`"x\\"`],
		["n", "12345678901234567890"],
		["o", String.raw`{"b":[1,{"c":"}],\""}]}`],
		["e", "{}"],
	]);
	expect(members("{}").size).toBe(0);
	expect([...members(' { "a" : 1 , "b" : [ ] } ')]).toEqual([
		["a", "1"],
		["b", "[ ]"],
	]);
});

test.each([
	{},
	{ data: "", time: null },
	{ data: { 'k"{': ['\\"', "\\\\", ",", {}, []] }, b: 1.5e-7, c: [true, false, null] },
	{ data: '\u2028 "quoted" \\', 'a:b,"': { x: { y: [[[]]] } } },
])("members of %j are what JSON.parse finds", (value) => {
	const parsed = [...members(JSON.stringify(value))].map(([k, v]) => [k, JSON.parse(v)]);
	expect(Object.fromEntries(parsed)).toEqual(value);
	expect(indent(JSON.stringify(value))).toBe(JSON.stringify(value, null, 2));
});

test("a number is shown as it was written", () => {
	expect(indent('{"n":[1.0,12345678901234567890,-0]}')).toBe(
		'{\n  "n": [\n    1.0,\n    12345678901234567890,\n    -0\n  ]\n}',
	);
});
