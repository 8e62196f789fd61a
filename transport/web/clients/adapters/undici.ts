import { EventSource } from "undici";
import type { Client } from "../client.ts";
import { listen } from "./event-source.ts";

export const undici: Client = {
	name: "undici",
	takesAccept: false,
	quirks: {},
	open: (url, options, report) => listen(new EventSource(url), options, report),
};
