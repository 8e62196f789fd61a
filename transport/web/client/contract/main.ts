/** Serves the service protocol of the SSE contract tests until it is interrupted or told to end. */
import { parseArgs } from "node:util";
import { Service } from "./service.ts";

try {
	const { values } = parseArgs({ options: { port: { type: "string", default: "8000" } } });
	const service = await Service.start(Number(values.port), console.error);
	process.once("SIGINT", () => void service.end());
	process.once("SIGTERM", () => void service.end());
	console.error(`serving ${service.url}`);
} catch (error) {
	console.error(`contract service: ${(error as Error).message}`);
	process.exitCode = 1;
}
