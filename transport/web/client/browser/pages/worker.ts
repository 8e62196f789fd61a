import { nothingTold, type Told } from "./told.ts";

/** The same as stream.ts, with the stream in a worker. */
window.told = nothingTold();
const worker = new Worker(new URL("./worker-stream.ts", import.meta.url), { type: "module" });
worker.onmessage = ({ data }: MessageEvent<Told>) => {
	window.told = data;
};
window.openStream = (url, plan) => worker.postMessage({ url, plan });
