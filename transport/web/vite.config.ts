import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** Where "npm run dev" finds a gateway. */
const gateway = process.env["RINGCAST_URL"] ?? "http://127.0.0.1:8080";

const src = resolve(import.meta.dirname, "src");
const page = (name: string) => resolve(src, `${name}.html`);

export default defineConfig({
	root: "src",
	base: "./", // the pages may be served below a path prefix
	plugins: [includes()],
	build: {
		outDir: "../dist",
		emptyOutDir: true,
		target: "es2022",
		assetsInlineLimit: 0, // the pages' policy allows no data: URLs
		modulePreload: false,
		reportCompressedSize: false,
		rolldownOptions: { input: ["index", "ticker", "notifications", "chat"].map(page) },
	},
	server: { proxy: { "/v1": gateway, "/readyz": gateway } },
});

/** Puts common/<name>.html where a page says `<!-- common/<name>.html -->`. */
function includes(): Plugin {
	return {
		name: "includes",
		transformIndexHtml: {
			order: "pre",
			handler: (html, { path }) =>
				html.replace(/<!-- (common\/\w+\.html) -->/g, (_, name: string) =>
					markCurrent(readFileSync(resolve(src, name), "utf8"), path),
				),
		},
	};
}

/** Marks the link to the page itself, for the style sheet and for screen readers. */
function markCurrent(html: string, path: string): string {
	const name = path.replace(/^\//, "").replace(/\.html$/, "");
	const href = name === "index" ? "./" : name;
	return html.replace(`<a href="${href}"`, `<a aria-current="page" href="${href}"`);
}
