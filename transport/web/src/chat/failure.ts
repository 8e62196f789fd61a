import type { Failure } from "./conversation.ts";

/** What each reason means for the reader, and what can be done. */
const TEXTS: Readonly<Record<string, string | undefined>> = {
	no_worker:
		"No worker listens for such questions. “ringcast demo” brings one with it; your own listens on the NATS subject ask.chat.",
	not_accepted: "A worker got the question, and did not say in time whether it takes it.",
	first_event_late: "The worker took the question, and nothing came in time.",
	silent: "The worker has fallen silent. What came before that is above.",
	worker_gone:
		"The worker is gone: its process or its connection has ended. What came before that is above.",
	too_large: "The answer is larger than the gateway allows. What came before that is above.",
	stopped: "The answer was stopped.",
	gap: "A part of the answer is gone from the log.",
	unauthorized: "The gateway wants a token.",
	network: "The gateway cannot be reached.",
	offline: "There is no network.",
	"connect-timeout": "The gateway does not answer.",
	"idle-timeout": "The connection has fallen silent.",
	forgotten: "The page was left, and what it had of this answer was not kept.",
};

/** Says in words why an answer is not whole. */
export function failureText({ reason, detail }: Failure): string {
	const known = TEXTS[reason];
	if (known !== undefined) {
		return known;
	}
	return reason === "refused"
		? `Refused: ${detail || "without a reason"}`
		: `The worker ran into an error (${reason})${detail && `: ${detail}`}`;
}

/** Whether the answer may go on when it is asked for again, rather than asked anew. */
export function canGoOn({ reason }: Failure): boolean {
	return [
		"network",
		"offline",
		"connect-timeout",
		"idle-timeout",
		"unauthorized",
		"status",
	].includes(reason);
}
