declare module "launchdarkly-eventsource" {
	interface Emitted {
		readonly data?: string;
		readonly lastEventId?: string;
		readonly message?: string;
		readonly headers?: Readonly<Record<string, string>>;
	}
	export class EventSource {
		constructor(url: string, options: { readonly headers: Readonly<Record<string, string>> });
		on(type: string, listener: (event: Emitted) => void): void;
		close(): void;
	}
}

declare module "event-source-polyfill" {
	export class EventSourcePolyfill {
		constructor(url: string, options: { readonly headers: Readonly<Record<string, string>> });
		readonly readyState: number;
		addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
		close(): void;
	}
}
