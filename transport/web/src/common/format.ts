const price = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en", {
	notation: "compact",
	minimumFractionDigits: 1,
	maximumFractionDigits: 1,
});
const count = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", {
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
});

export const formatPrice = (value: number): string => price.format(value);
export const formatVolume = (value: number): string => compact.format(value);
export const formatCount = (value: number): string => count.format(value);
export const formatTime = (ms: number): string => clock.format(ms);

const dated = new Intl.DateTimeFormat("en-GB", {
	day: "numeric",
	month: "short",
	hour: "2-digit",
	minute: "2-digit",
});
const HALF_DAY_MS = 12 * 3_600_000;

/** A time, with its day where that is in doubt. */
export function formatWhen(ms: number, now: number): string {
	return Math.abs(now - ms) < HALF_DAY_MS ? clock.format(ms) : dated.format(ms);
}

/** A change in percent, with its direction as a sign, so that colour is not all that tells it. */
export function formatChange(value: number): string {
	const sign = value > 0 ? "▲ +" : value < 0 ? "▼ −" : "";
	return `${sign}${price.format(Math.abs(value))} %`;
}

/** The direction of a change as the style sheet knows it. */
export function directionOf(value: number): "up" | "down" | "flat" {
	return value > 0 ? "up" : value < 0 ? "down" : "flat";
}

/** "1 event", "2 events". */
export function plural(n: number, noun: string): string {
	return `${formatCount(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** "0.4 s", "12 s". */
export function formatSeconds(ms: number): string {
	const s = ms / 1000;
	return `${s < 10 ? s.toFixed(1) : s.toFixed(0)} s`;
}
