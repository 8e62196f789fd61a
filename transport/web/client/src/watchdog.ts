import { StreamError } from "./errors.ts";

/** How late a timer is when the tab or the machine has slept. */
const SLEPT_MS = 1_000;

/**
 * Limits a wait, and aborts what is waited for. A page that was frozen gets its late
 * timer before the bytes that have come in the meantime: such a timer is set anew once.
 */
export async function within<T>(
	ms: number,
	code: "connect-timeout" | "idle-timeout",
	wait: Promise<T>,
	abort: (error: StreamError) => void,
): Promise<T> {
	if (!(ms > 0)) {
		return wait;
	}
	let timer: ReturnType<typeof setTimeout>;
	const what = code === "connect-timeout" ? "no answer" : "no byte";
	const expire = () => abort(new StreamError(code, `${what} within ${ms} ms`));
	const due = Date.now() + ms;
	timer = setTimeout(() => {
		if (Date.now() - due > SLEPT_MS) {
			timer = setTimeout(expire, SLEPT_MS);
		} else {
			expire();
		}
	}, ms);
	try {
		return await wait;
	} finally {
		clearTimeout(timer);
	}
}
