import { defineConfig } from "vite";

/** Where "npm run dev" finds a gateway. */
const gateway = process.env["RINGCAST_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
	root: "src",
	base: "./", // the page may be served below a path prefix
	build: {
		outDir: "../dist",
		emptyOutDir: true,
		target: "es2022",
		assetsInlineLimit: 0, // the page's policy allows no data: URLs
		modulePreload: false,
		reportCompressedSize: false,
	},
	server: { proxy: { "/v1": gateway, "/readyz": gateway } },
});
