/** What an adapter reports of its client, in order. */
export type Report =
	/** The client says that its stream is open, or has its first answer. */
	| { readonly kind: "open" }
	/** The client handed an event over; `id` as far as it tells ids, else "". */
	| { readonly kind: "event"; readonly type: string; readonly data: string; readonly id: string }
	/** The client says that something failed; for a reader of a failed test. */
	| { readonly kind: "error"; readonly message: string }
	/** The client has ended and says so: it will not come back. */
	| { readonly kind: "closed" };

export interface OpenOptions {
	/** The types of events to listen to, `message` among them. */
	readonly types: readonly string[];
	/** The Accept header to send, for clients that can be told. */
	readonly accept: string | undefined;
	/** With the way around its quirks, as far as it is in how the client is called. */
	readonly careful: boolean;
}

/** What a client itself gets wrong in a scenario; the README of @ringcast/client has it. */
export interface Quirk {
	/** What it does, and when. */
	readonly does: string;
	/** How its outcome differs from what is expected of a client without faults. */
	readonly outcome: Readonly<Record<string, unknown>>;
	/** The way around, where there is one: with it the outcome is the expected one. */
	readonly around?: {
		readonly says: string;
		/** Parameters of the stream. */
		readonly query?: Readonly<Record<string, string>>;
		/** Begin at a position that the gateway was asked for before (`from=<id>`). */
		readonly fromPosition?: true;
		/** Close the client when an event of this type comes. */
		readonly closeOn?: string;
	};
}

export type ScenarioName =
	| "connect"
	| "named events"
	| "cut in the first event"
	| "cut in the data"
	| "cut before the id line"
	| "cut in the id line"
	| "cut before the blank line"
	| "401"
	| "JSON answer: an error"
	| "JSON answer: a page"
	| "finish"
	| "gateway restart"
	| "gap";

export type Quirks = Readonly<Partial<Record<ScenarioName, Quirk>>>;

/** A client that people use, as they use it, behind one interface. */
export interface Client {
	/** The name of its package, whose version package.json pins; or what it is. */
	readonly name: string;
	/** Whether it can be told which Accept header to send. */
	readonly takesAccept: boolean;
	/** Whether it sends the parameters in the body of a POST. */
	readonly posts?: true;
	readonly quirks: Quirks;
	/** Opens a stream; returns what closes it. */
	open(url: string, options: OpenOptions, report: (report: Report) => void): () => void;
}
