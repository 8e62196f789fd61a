import { readLog, readPage } from "../common/log.ts";
import { parseQuote, type Quote, WINDOW_MS } from "./quotes.ts";

const SAMPLES = 12;
const SAMPLE_EVENTS = 400;
/** The most events that the chart begins with. */
const CHART_EVENTS = 20_000;

/**
 * Reads a little of the window here and there: for sparklines that is enough, and what
 * it costs does not depend on how much was published.
 */
export async function* sampleQuotes(
	subject: string,
	signal: AbortSignal,
): AsyncGenerator<readonly Quote[]> {
	for (let i = 0; i < SAMPLES; i++) {
		const back = (WINDOW_MS / 1000) * (1 - i / SAMPLES);
		const page = await readPage({ subject, from: `${back}s`, limit: `${SAMPLE_EVENTS}` }, signal);
		yield quotesOf(page.events);
	}
}

/** Reads all of the window of one symbol. */
export async function* readQuotes(
	subject: string,
	signal: AbortSignal,
): AsyncGenerator<readonly Quote[]> {
	const from = `${WINDOW_MS / 1000}s`;
	for await (const events of readLog({ subject, from }, CHART_EVENTS, signal)) {
		yield quotesOf(events);
	}
}

function quotesOf(events: readonly { readonly data?: string }[]): Quote[] {
	return events.map((e) => parseQuote(e.data ?? "")).filter((q) => q !== undefined);
}
