import { type Plan, record } from "./told.ts";

interface Order {
	readonly url: string;
	readonly plan: Plan;
}

self.onmessage = ({ data: { url, plan } }: MessageEvent<Order>) => {
	record(url, plan, (told) => self.postMessage(told));
};
