import type { Msg, MsgHdrs } from "@nats-io/nats-core";

const PREFIX = "ask.";

/** What is to be answered. */
export interface Question {
	/** That of the answer. */
	readonly id: string;
	/** What was asked on: of `POST /v1/ask/{subject}`. */
	readonly subject: string;
	/** The `sub` of who asks, empty where there is none. */
	readonly identity: string;
	/** The question itself, parsed. */
	// biome-ignore lint/suspicious/noExplicitAny: it is the application's, as of JSON.parse.
	readonly body: any;
	/** All that came with it. */
	readonly headers: MsgHdrs;
}

/** Where a question's answer goes, and where its gateway is heard. */
export interface Addresses {
	readonly answer: string;
	/** The sequence of the answer's first event, which is the gateway's. */
	readonly claim: number;
	readonly cancel: string;
	readonly alive: string;
}

/** The subject on which such questions come. */
export function questionSubject(subject: string): string {
	return PREFIX + subject;
}

/** Reads a NATS request. Throws what is wrong with it. */
export function readQuestion(msg: Msg): { question: Question; addresses: Addresses } {
	const { headers } = msg;
	if (headers === undefined || !msg.reply) {
		throw new Error("it has no headers, or is no request");
	}
	const subject = (name: string) => {
		const value = headers.get(name);
		if (value === "" || /[\s*>]/.test(value)) {
			throw new Error(`header ${name} is ${JSON.stringify(value)}`);
		}
		return value;
	};
	const question = {
		id: subject("Ringcast-Ask-Id"),
		subject: msg.subject.slice(PREFIX.length),
		identity: decode(headers.get("Ringcast-Identity")),
		body: msg.json(),
		headers,
	};
	const addresses = {
		answer: subject("Ringcast-Answer-Subject"),
		claim: sequence(headers.get("Ringcast-Answer-Sequence")),
		cancel: subject("Ringcast-Cancel-Subject"),
		alive: subject("Ringcast-Alive-Subject"),
	};
	return { question, addresses };
}

function sequence(value: string): number {
	if (!/^\d+$/.test(value)) {
		throw new Error(`header Ringcast-Answer-Sequence is ${JSON.stringify(value)}`);
	}
	return Number(value);
}

/** What cannot be decoded was not written by a gateway, and is taken as it is. */
function decode(identity: string): string {
	try {
		return decodeURIComponent(identity);
	} catch {
		return identity;
	}
}
