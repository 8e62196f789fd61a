import type { EventStreamOptions } from "../src/index.ts";

/** What the protocol has no place for. Its message says what is allowed; the answer is 400. */
export class BadInput extends Error {}

/** The body of POST /. Other members, which later versions may add, are ignored. */
export interface StreamParameters {
	readonly streamUrl: string;
	readonly callbackUrl: string;
	/** The name of the harness's test, for the log. */
	readonly tag: string;
	/** What the other members come to for the client. */
	readonly options: EventStreamOptions;
}

/** The body of a POST to a stream. */
export type Command = { readonly restart: true } | { readonly listen: string };

type Members = Readonly<Record<string, unknown>>;

export function readParameters(body: unknown): StreamParameters {
	const given = membersOf("the body", body);
	const streamUrl = httpUrl(given, "streamUrl");
	return {
		streamUrl,
		callbackUrl: httpUrl(given, "callbackUrl"),
		tag: text(given, "tag"),
		options: readOptions(given, streamUrl),
	};
}

/**
 * The initial delay is what the client's backoff grows from. Without a read timeout the
 * client's own is left as it is: the harness's tests are shorter.
 */
function readOptions(given: Members, streamUrl: string): EventStreamOptions {
	const body = text(given, "body");
	const initialDelayMs = milliseconds(given, "initialDelayMs");
	const readTimeoutMs = milliseconds(given, "readTimeoutMs");
	const options = {
		method: text(given, "method") || "GET",
		headers: readHeaders(given),
		...(body !== "" && { body }),
		...(initialDelayMs !== undefined && { retry: { baseMs: initialDelayMs } }),
		...(readTimeoutMs !== undefined && { idleTimeoutMs: readTimeoutMs }),
		lastEventId: text(given, "lastEventId"),
	};
	try {
		new Request(streamUrl, options); // knows what fetch refuses, as a GET with a body
	} catch (error) {
		throw new BadInput(`no such request can be made: ${(error as Error).message}`);
	}
	return options;
}

/**
 * Unless told otherwise the service asks for a stream and nothing else. By default the
 * client takes JSON too and says so, and the harness has no other Accept than this one.
 */
function readHeaders(given: Members): Headers {
	const headers = new Headers();
	const values = membersOf("headers", given["headers"] ?? {});
	for (const name of ["accept", ...Object.keys(values)]) {
		const value = name in values ? text(values, name, `headers: ${name}`) : "text/event-stream";
		try {
			headers.set(name, value);
		} catch {
			throw new BadInput(`headers: ${JSON.stringify(name)} is no header, or its value is none`);
		}
	}
	return headers;
}

export function readCommand(body: unknown): Command {
	const given = membersOf("the body", body);
	switch (given["command"]) {
		case "restart":
			return { restart: true };
		case "listen": {
			const type = text(membersOf("listen", given["listen"]), "type", "listen: type");
			if (type === "") {
				throw new BadInput("listen: type is missing");
			}
			return { listen: type };
		}
		default:
			throw new BadInput('command: only "listen" and "restart" are known');
	}
}

function membersOf(name: string, value: unknown): Members {
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		throw new BadInput(`${name}: not a JSON object`);
	}
	return value as Members;
}

/** `""` for a member that is not there. An error gives the path. */
function text(given: Members, name: string, path = name): string {
	const value = given[name] ?? "";
	if (typeof value !== "string") {
		throw new BadInput(`${path}: not a string`);
	}
	return value;
}

function httpUrl(given: Members, name: string): string {
	const value = text(given, name);
	const url = URL.canParse(value) ? new URL(value) : undefined;
	if (url?.protocol !== "http:" && url?.protocol !== "https:") {
		throw new BadInput(`${name}: not an http or https URL`);
	}
	return value;
}

/** What a timer can wait for. */
const MOST_MS = 2 ** 31 - 1;

/** The harness sends null for a number that it does not set. */
function milliseconds(given: Members, name: string): number | undefined {
	const value = given[name] ?? undefined;
	if (value === undefined) {
		return undefined;
	}
	if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > MOST_MS) {
		throw new BadInput(`${name}: not a whole number from 0 to ${MOST_MS}`);
	}
	return value;
}
