import type { IncomingMessage, ServerResponse } from "node:http";
import { type Handler, TestServer } from "./server.ts";

export const ID = "abcdefghijklmnopqrstuvwxyz";

/** An event of an answer: its type, and its data. */
export type Part = readonly [type: string, data: string];

/** One event on the wire, in format json; its id is its place in the answer, from 1. */
export function block([type, data]: Part, n: number): string {
	const event = JSON.stringify({ id: `${n}-x`, subject: `events.answers.${ID}`, type, data });
	return `event: ${type}\ndata: ${event}\nid: ${n}-x\n\n`;
}

/** The whole answer on the wire: what was asked, and the parts. */
export function blocks(parts: readonly Part[]): string[] {
	const asked: Part = ["ask", JSON.stringify({ id: ID, subject: "chat" })];
	return [asked, ...parts].map((part, i) => block(part, i + 1));
}

export const WITH_ID = { "Ringcast-Ask-Id": ID };

/** Begins an answer, or goes on with one. */
export function begin(
	response: ServerResponse,
	text: string,
	headers: Record<string, string> = WITH_ID,
): void {
	response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
	response.flushHeaders();
	if (text !== "") {
		response.write(text);
	}
}

/** Cuts the connection once what was written has had its time to arrive. */
export function cut(response: ServerResponse): void {
	response.write("", () => setImmediate(() => response.destroy()));
}

export function problem(response: ServerResponse, status: number, more: object = {}): void {
	response.writeHead(status, { "Content-Type": "application/problem+json" });
	response.end(JSON.stringify({ title: "t", status, detail: "why", ...more }));
}

/** What of an answer comes after the id that a request resumes from. */
export function after(request: IncomingMessage, whole: readonly string[]): string {
	return whole.slice(Number.parseInt(`${request.headers["last-event-id"] ?? 0}`, 10)).join("");
}

/** A server for one answer; `url` is where a question is asked. */
export async function answers(handler: Handler): Promise<{ server: TestServer; url: string }> {
	const server = await TestServer.start(handler);
	return { server, url: `${new URL("/v1/ask/chat", server.url)}` };
}
