import type { Page } from "playwright-core";

/**
 * Returns the visible texts of the page whose contrast with what is behind them is
 * below a ratio, as WCAG 2.2 reckons it
 * (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio). Text on something disabled
 * is exempt there, and here.
 */
export async function contrastsBelow(page: Page, ratio: number): Promise<string[]> {
	return await page.evaluate((ratio) => {
		type Colour = [red: number, green: number, blue: number, alpha: number];

		const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
		const parse = (css: string): Colour => {
			if (!context) {
				throw new Error("no canvas");
			}
			context.clearRect(0, 0, 1, 1);
			context.fillStyle = css;
			context.fillRect(0, 0, 1, 1);
			const [r = 0, g = 0, b = 0, a = 0] = context.getImageData(0, 0, 1, 1).data;
			return [r, g, b, a / 255];
		};
		const over = (top: Colour, bottom: Colour): Colour => {
			const mix = (i: 0 | 1 | 2) => top[i] * top[3] + bottom[i] * (1 - top[3]);
			return [mix(0), mix(1), mix(2), 1];
		};
		const behind = (element: Element | null): Colour => {
			if (element === null) {
				return [255, 255, 255, 1];
			}
			const own = parse(getComputedStyle(element).backgroundColor);
			return own[3] === 1 ? own : over(own, behind(element.parentElement));
		};
		const luminance = (c: Colour) => {
			const linear = (v: number) =>
				v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
			return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
		};

		const poor: string[] = [];
		const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
			const element = node.parentElement;
			const text = node.textContent?.trim() ?? "";
			if (!element?.checkVisibility() || text === "" || element.matches(":disabled, :disabled *")) {
				continue;
			}
			const ground = behind(element);
			const ink = over(parse(getComputedStyle(element).color), ground);
			const [dark, light] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
			const contrast = ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
			if (contrast < ratio) {
				poor.push(`${text}: ${contrast.toFixed(2)}`);
			}
		}
		return poor;
	}, ratio);
}
