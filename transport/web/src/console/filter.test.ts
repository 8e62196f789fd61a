import { expect, test } from "vitest";
import {
	exampleOf,
	type Filter,
	filterOfQuery,
	parseSubjects,
	parseTypes,
	queryOfFilter,
} from "./filter.ts";

test("subjects are told apart by white space and commas", () => {
	expect(parseSubjects(" events.a, events.b.>\tevents.*  events.a ")).toEqual([
		"events.a",
		"events.b.>",
		"events.*",
	]);
	expect(parseSubjects(" , ")).toEqual([]);
});

test("types may have spaces", () => {
	expect(parseTypes("order paid, order sent,,order paid")).toEqual(["order paid", "order sent"]);
});

test.each<Filter>([
	{ subjects: [], types: [], from: "now" },
	{ subjects: ["events.>"], types: [], from: "5m" },
	{ subjects: ["a.*.b", "c&d=?#"], types: ["x y", "message"], from: "7-dfdrqin2kmbk" },
	{ subjects: ["é.>"], types: [], from: "2026-01-02T03:04:05+01:00" },
])("the page's query keeps %j", (filter) => {
	expect(filterOfQuery(queryOfFilter(filter))).toEqual(filter);
});

test("the query of the default is empty", () => {
	expect(queryOfFilter({ subjects: [], types: [], from: "now" })).toBe("");
});

test.each([
	["events.>", "events.hello"],
	["events.*.paid.*", "events.x.paid.x"],
	["*.*.>", "x.x.hello"],
	["events.a>b*", "events.a>b*"],
	[">", "hello"],
])("%s matches %s", (pattern, subject) => {
	expect(exampleOf(pattern)).toBe(subject);
});
