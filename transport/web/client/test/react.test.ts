import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { useAnswer, useEventStream } from "../src/react.ts";

const fetch = () => {
	throw new Error("a server that renders makes no request");
};

function Feed({ url }: { readonly url: string | null }) {
	const { status, events } = useEventStream(url, { fetch });
	return createElement("p", null, `${status} ${events.length}`);
}

function Chat() {
	const { status, text } = useAnswer("/v1/ask/chat", { fetch });
	return createElement("p", null, `${status} ${text.length}`);
}

test("rendered on a server: what the browser shows first, and no request", async () => {
	expect(renderToString(createElement(Feed, { url: "/v1/stream" }))).toBe("<p>connecting 0</p>");
	expect(renderToString(createElement(Feed, { url: null }))).toBe("<p>closed 0</p>");
	expect(renderToString(createElement(Chat))).toBe("<p>idle 0</p>");
});
