import { expect, test } from "vitest";
import { Conversation, MOST_TURNS } from "./conversation.ts";

/** A storage with room for so many characters. */
function storage(room = Infinity, kept = new Map<string, string>()) {
	return {
		getItem: (key: string) => kept.get(key) ?? null,
		removeItem: (key: string) => void kept.delete(key),
		setItem: (key: string, value: string) => {
			if (value.length > room) {
				throw new DOMException("full", "QuotaExceededError");
			}
			kept.set(key, value);
		},
	};
}

test("a question is asked with all that was said before", () => {
	const conversation = new Conversation(storage());
	conversation.ask("a").text = "A";
	conversation.ask("b").text = ""; // nothing came
	conversation.ask("c");
	expect(conversation.messages()).toEqual([
		{ role: "user", content: "a" },
		{ role: "assistant", content: "A" },
		{ role: "user", content: "b" },
		{ role: "user", content: "c" },
	]);
});

test("asked again, a question has a new turn in place of the old one", () => {
	const conversation = new Conversation(storage());
	const turn = conversation.ask("a");
	turn.text = "A";
	turn.stopped = true;
	expect(conversation.askAgain()).toMatchObject({ question: "a", text: undefined, stopped: false });
	expect(conversation.turns).toHaveLength(1);
});

test("it is kept over a reload, and what was kept is not trusted", () => {
	const kept = storage();
	const conversation = new Conversation(kept);
	const turn = conversation.ask("a");
	turn.references = [{ title: "t", url: "https://a.b/" }];
	turn.failure = { reason: "silent", detail: "d" };
	turn.count = { sha256: "00", bytes: 1 };
	conversation.save();
	expect(new Conversation(kept).turns).toEqual(conversation.turns);

	for (const other of ["", "{", "null", "7", '[null,{"question":1}]']) {
		kept.setItem("ringcast:chat", other);
		expect(new Conversation(kept).turns).toEqual([]);
	}
	const url = "javascript:alert(1)";
	const hostile = {
		question: "a",
		references: [{ title: "t", url }],
		failure: 7,
		count: [],
		resumes: "x",
	};
	kept.setItem("ringcast:chat", JSON.stringify([hostile]));
	expect(new Conversation(kept).turns).toMatchObject([
		{ references: [], failure: undefined, count: undefined, resumes: 0 },
	]);
});

test("a bounded number is kept, and what there is room for", () => {
	const conversation = new Conversation(storage());
	for (let n = 0; n < MOST_TURNS + 3; n++) {
		conversation.ask(`${n}`);
	}
	expect(conversation.turns).toHaveLength(MOST_TURNS);
	expect(conversation.turns[0]?.question).toBe("3");

	const small = storage(300);
	const full = new Conversation(small);
	full.ask("a").text = "x".repeat(250);
	full.ask("b");
	expect(new Conversation(small).turns.map(({ question }) => question)).toEqual(["b"]);
});
