const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const SPANS: readonly [seconds: number, name: string][] = [
	[86_400, "d"],
	[3_600, "h"],
	[60, "min"],
	[1, "s"],
];

/** "0 B", "1.5 KiB", "256 MiB": three digits at most. */
export function formatBytes(bytes: number): string {
	let value = bytes;
	let unit = 0;
	// 1023.5 would be shown as 1024 of the unit below.
	while (value >= 1023.5 && unit < UNITS.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${short(unit === 0 ? Math.round(value) : value)} ${UNITS[unit]}`;
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A rate a second: "0", "0.4", "12.3", "20,481". */
export function formatRate(perSecond: number): string {
	return perSecond < 99.95 ? short(perSecond) : grouped.format(perSecond);
}

/** "0.2", "12.3", "100": one decimal below a hundred, none where it would be 0. */
function short(value: number): string {
	return value < 99.95 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}

/** For an axis: "20k", "1.5M". */
export function formatTick(value: number): string {
	for (const [unit, name] of [
		[1e9, "G"],
		[1e6, "M"],
		[1e3, "k"],
	] as const) {
		if (Math.abs(value) >= unit) {
			return `${Math.round((value / unit) * 100) / 100}${name}`;
		}
	}
	return String(Math.round(value * 100) / 100);
}

/** "3 d 4 h", "12 min 5 s", "0 s": the two greatest units. */
export function formatSpan(seconds: number): string {
	const parts: string[] = [];
	let rest = Math.max(0, Math.round(seconds));
	for (const [size, name] of SPANS) {
		const n = Math.floor(rest / size);
		rest -= n * size;
		if (n > 0) {
			parts.push(`${n} ${name}`);
		} else if (parts.length > 0) {
			break; // "1 h 5 s" says more than it knows
		}
		if (parts.length === 2) {
			break;
		}
	}
	return parts.length === 0 ? "0 s" : parts.join(" ");
}

/**
 * When an id's event was stored, in milliseconds since the Unix epoch: its stamp is
 * nanoseconds in base 36 (PROTOCOL.md, "Ids"). Undefined for an id without one.
 */
export function timeOfId(id: string): number | undefined {
	const stamp = /^\d+-([0-9a-z]+)$/.exec(id)?.[1];
	const ns = stamp === undefined ? 0 : Number.parseInt(stamp, 36);
	return ns > 0 ? ns / 1e6 : undefined;
}
