/** A gateway's id: the sequence, and the time at which it was stored, in base 36. */
const ID = /^(0|[1-9]\d*)-([0-9a-z]+)$/;

/**
 * Orders two ids of a gateway: negative, zero or positive, as for Array.sort; undefined where
 * they are not of one stream, or not a gateway's. Sequence and time grow together: where one
 * is greater and the other smaller, the stream was replaced or rewound between them.
 */
export function order(a: string, b: string): number | undefined {
	if (a === b) {
		return 0;
	}
	const [, sequenceA, timeA] = ID.exec(a) ?? [];
	const [, sequenceB, timeB] = ID.exec(b) ?? [];
	if (!sequenceA || !timeA || !sequenceB || !timeB) {
		return undefined;
	}
	const bySequence = compare(sequenceA, sequenceB);
	return bySequence * compare(timeA, timeB) < 0 || bySequence === 0 ? undefined : bySequence;
}

/** As text, for a number holds 53 bits: without leading zeros the longer one is the greater one. */
function compare(a: string, b: string): number {
	return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
