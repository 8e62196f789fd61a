import { retryAfterMs } from "./backoff.ts";
import { StreamError } from "./errors.ts";

/** What an answer means for the stream. */
export type Verdict =
	| { readonly kind: "stream" | "finished" | "unauthorized" }
	| { readonly kind: "json"; readonly body: unknown }
	| { readonly kind: "retry" | "fail"; readonly error: StreamError; readonly floorMs: number };

/** What a later request may well be spared: time-outs, rate limits, gateways, overload. */
const TRANSIENT = new Set([408, 425, 429, 502, 503, 504]);

/**
 * Judges an answer. A transient status is retried whatever its body; any other JSON,
 * an error object too, is the answer: one endpoint, stream or not.
 */
export async function judge(response: Response): Promise<Verdict> {
	const { status } = response;
	const type = response.headers.get("content-type") ?? "";
	if (status === 204) {
		return { kind: "finished" };
	}
	if (response.ok && /^\s*text\/event-stream\s*(;|$)/i.test(type)) {
		return { kind: "stream" };
	}
	if (status === 401) {
		return { kind: "unauthorized" };
	}
	if (!TRANSIENT.has(status) && /^\s*[^;]*[/+]json\s*(;|$)/i.test(type)) {
		const text = await response.text();
		try {
			return { kind: "json", body: JSON.parse(text) };
		} catch (cause) {
			const error = new StreamError("content-type", "the answer is not valid JSON", status, cause);
			return { kind: "fail", error, floorMs: 0 };
		}
	}
	const error = response.ok
		? new StreamError("content-type", `no event stream: "${type}"`, status)
		: new StreamError("status", `the server answered ${status}`, status);
	const again = TRANSIENT.has(status) || status >= 500;
	return { kind: again ? "retry" : "fail", error, floorMs: retryAfterMs(response.headers) };
}
