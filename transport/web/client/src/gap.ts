import type { Gap } from "./options.ts";
import { parse } from "./parse.ts";

export const GAP_TYPE = "ringcast.gap";

/** Reads a gap's data. What cannot be read is a gap all the same. */
export function parseGap(data: string): Gap {
	return { reason: "", requested: "", oldest: "", ...(parse(data) as Partial<Gap>) };
}
