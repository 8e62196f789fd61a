/**
 * - `offline`: the browser says that there is no network
 * - `network`: no answer, or the connection was lost. A browser does not tell a CORS
 *   error from a server that cannot be reached; neither can this
 * - `connect-timeout`, `idle-timeout`: the limits of the options
 * - `status`: an answer that is neither a stream nor JSON
 * - `content-type`: a 200 that is neither
 * - `unauthorized`: 401, also after `onunauthorized`
 * - `setup`: a function among the options failed before the request
 * - `listener`: a callback or listener threw; the stream goes on
 * - `storage`: the id could not be kept or read; the stream goes on
 */
export type StreamErrorCode =
	| "offline"
	| "network"
	| "connect-timeout"
	| "idle-timeout"
	| "status"
	| "content-type"
	| "unauthorized"
	| "setup"
	| "listener"
	| "storage";

/** Everything that a stream reports. */
export class StreamError extends Error {
	override readonly name = "StreamError";

	constructor(
		readonly code: StreamErrorCode,
		message: string,
		/** Of the answer, where there was one. */
		readonly status?: number,
		cause?: unknown,
	) {
		super(message, { cause });
	}
}

/** Calls what the user gave. A mistake in it, which nobody listens for, ends no process. */
export function guarded(callback: () => void): void {
	try {
		callback();
	} catch (thrown) {
		(globalThis.reportError ?? console.error)(thrown);
	}
}

/** Whether the browser says that there is no network. */
export function isOffline(): boolean {
	return globalThis.navigator?.onLine === false;
}

/** Names what a request or a body was given up with, as far as a browser can tell. */
export function networkError(cause: unknown): StreamError {
	return isOffline()
		? new StreamError("offline", "no network", undefined, cause)
		: new StreamError("network", "no connection, or CORS", undefined, cause);
}
