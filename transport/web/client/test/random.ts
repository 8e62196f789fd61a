/** Draws numbers from 0 to 1, the same for the same seed. https://en.wikipedia.org/wiki/Xorshift */
export function generator(seed: number): () => number {
	let state = (seed + 1) * 0x9e3779b9;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 2 ** 32;
	};
}

/** Those of so many runs; one that failed is run again by its own: MODEL_SEED=17. */
export function seeds(runs: number): number[] {
	return process.env["MODEL_SEED"]
		? [Number(process.env["MODEL_SEED"])]
		: Array.from({ length: Number(process.env["MODEL_RUNS"] ?? runs) }, (_, n) => n);
}
