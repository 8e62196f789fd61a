/** Returns what a refusal says, as problem+json or not. */
export async function readProblem(answer: Response): Promise<string> {
	const status = `${answer.status} ${answer.statusText}`.trim();
	const body: unknown = await answer.json().catch(() => undefined);
	return problemDetail(body) ?? status;
}

/** What application/problem+json says of a refusal (RFC 9457). */
export function problemDetail(body: unknown): string | undefined {
	if (typeof body !== "object" || body === null) {
		return undefined;
	}
	const { detail, title } = body as Record<string, unknown>;
	return [detail, title].find((text): text is string => typeof text === "string" && text !== "");
}
