import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openStorage } from "./storage.ts";
import { Token } from "./token.ts";

/** The headers of the requests that were made. */
let asked: Headers[];
/** Is called before each answer. */
let beforeAnswer: () => void;

/** A gateway that takes the token "good". */
beforeEach(() => {
	asked = [];
	beforeAnswer = () => {};
	vi.stubGlobal("fetch", async (_url: string, { headers }: { headers: Headers }) => {
		asked.push(headers);
		beforeAnswer();
		const authorization = headers.get("Authorization");
		if (authorization === "Bearer good") {
			return new Response();
		}
		const detail = authorization === null ? "a token is needed" : "it has expired";
		return Response.json({ detail }, { status: 401 });
	});
});

afterEach(() => {
	vi.unstubAllGlobals();
});

function newToken(value: string): [token: Token, wanted: string[]] {
	const token = new Token(
		openStorage(() => {
			throw new Error("blocked");
		}),
	);
	const wanted: string[] = [];
	token.onWanted = (why) => wanted.push(why);
	token.give(value);
	return [token, wanted];
}

function shown(): (string | null)[] {
	return asked.map((headers) => headers.get("Authorization"));
}

test("a token that is not taken is forgotten, and another asked for once", async () => {
	const [token, wanted] = newToken("old");
	expect((await token.fetch("v1/status")).status).toBe(401);
	expect((await token.fetch("v1/status")).status).toBe(401);
	expect(shown()).toEqual(["Bearer old", null]);
	expect(token.isHeld).toBe(false);
	expect(wanted).toEqual(["it has expired"]);

	token.give(" good\n");
	expect((await token.fetch("v1/status")).status).toBe(200);
	expect(token.isHeld).toBe(true);
	expect(wanted).toHaveLength(1);
});

test("an answer to a token that was replaced meanwhile says nothing of the other", async () => {
	const [token, wanted] = newToken("old");
	beforeAnswer = () => token.give("good");
	expect((await token.fetch("v1/status")).status).toBe(200);
	expect(shown()).toEqual(["Bearer old", "Bearer good"]);
	expect(token.isHeld).toBe(true);
	expect(wanted).toEqual([]);
});

test("the headers of a request stay, and its answer can be read", async () => {
	const [token] = newToken("old");
	const answer = await token.fetch("v1/status", { headers: { Accept: "application/json" } });
	expect(asked[0]?.get("Accept")).toBe("application/json");
	expect(await answer.json()).toEqual({ detail: "it has expired" });
});
