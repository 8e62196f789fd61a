/** Calls under way, by the function called: streams share one token, and so one refresh. */
const flights = new WeakMap<object, Promise<unknown>>();

/** Calls the function, or waits for the call of it that is under way. */
export function singleFlight<T>(fn: (context: T) => unknown, context: T): Promise<unknown> {
	let flight = flights.get(fn);
	if (flight === undefined) {
		flight = (async () => fn(context))().finally(() => flights.delete(fn));
		flights.set(fn, flight);
	}
	return flight;
}
