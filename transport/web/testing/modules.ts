import type { AddressInfo, Server } from "node:net";
import { resolve } from "node:path";
import { createServer, type ViteDevServer } from "vite";

const ROOT = resolve(import.meta.dirname, "..");

/**
 * Serves this folder to a browser as modules: a page runs one, which can import the
 * client's sources and packages by their names, TypeScript and JSX as they are.
 */
export class ModuleServer {
	private constructor(private readonly vite: ViteDevServer) {}

	/** @param packages the packages that pages import, prepared before the first asks */
	static async start(packages: readonly string[] = []): Promise<ModuleServer> {
		const vite = await createServer({
			root: ROOT,
			configFile: false,
			appType: "custom",
			logLevel: "error",
			// Files run side by side, and would prepare packages in each other's way.
			cacheDir: `node_modules/.vite-testing/${process.env["VITEST_POOL_ID"]}`,
			optimizeDeps: { noDiscovery: true, include: [...packages] },
			server: { host: "127.0.0.1", port: 0, hmr: false, ws: false, watch: null },
			plugins: [{ name: "pages", configureServer: servePages }],
		});
		await vite.listen();
		return new ModuleServer(vite);
	}

	/** The origin of the pages. */
	get origin(): string {
		const { port } = (this.vite.httpServer as Server).address() as AddressInfo;
		return `http://127.0.0.1:${port}`;
	}

	/** An empty page that runs a module of this folder. */
	page(module: string): string {
		return `${this.origin}/?${new URLSearchParams({ module })}`;
	}

	async close(): Promise<void> {
		await this.vite.close();
	}
}

function servePages({ middlewares }: ViteDevServer): void {
	middlewares.use((request, response, next) => {
		const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
		const module = searchParams.get("module");
		if (pathname === "/" && module !== null) {
			response.setHeader("Content-Type", "text/html");
			response.end(`<!doctype html><title>test</title><link rel="icon" href="data:,">
				<div id="root"></div><script type="module" src="/${module}"></script>`);
		} else {
			next();
		}
	});
}
