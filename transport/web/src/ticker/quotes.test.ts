import { expect, test } from "vitest";
import { MAX_SYMBOLS, parseQuote, type Quote, QuoteBoard } from "./quotes.ts";

const quote = (symbol: string, price: number, time = 0): Quote => ({
	symbol,
	price,
	change: 0,
	volume: 0,
	time,
});

test("a quote is read as the demo publishes it", () => {
	const data =
		'{"symbol":"ACME","price":182.4,"change":-0.32,"volume":43600,"time":"2026-01-02T03:04:05.678Z"}';
	expect(parseQuote(data)).toEqual({
		symbol: "ACME",
		price: 182.4,
		change: -0.32,
		volume: 43600,
		time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
	});
});

test.each([
	"",
	"null",
	"[]",
	"not JSON",
	'{"symbol":"","price":1,"time":"2026-01-02T03:04:05Z"}',
	'{"symbol":7,"price":1,"time":"2026-01-02T03:04:05Z"}',
	'{"symbol":"A","price":"1","time":"2026-01-02T03:04:05Z"}',
	'{"symbol":"A","price":1e999,"time":"2026-01-02T03:04:05Z"}',
	'{"symbol":"A","price":1,"time":"yesterday"}',
	'{"symbol":"A","price":1}',
])("%s is no quote", (data) => {
	expect(parseQuote(data)).toBeUndefined();
});

test("the direction is that of the last move", () => {
	const board = new QuoteBoard();
	const directions = [10, 11, 11, 9].map((p) => board.update(quote("A", p))?.direction);
	expect(directions).toEqual([0, 1, 0, -1]);
});

test("history does not change what the newest quote is", () => {
	const board = new QuoteBoard();
	board.update(quote("A", 10, 5000));
	board.backfill(quote("A", 8, 1000));
	expect(board.get("A")?.quote?.price).toBe(10);
	expect(board.get("A")?.series.all()).toHaveLength(2);
});

test("the number of symbols is bounded", () => {
	const board = new QuoteBoard();
	for (let i = 0; i < MAX_SYMBOLS + 50; i++) {
		board.update(quote(`S${i}`, 1));
	}
	expect(board.size).toBe(MAX_SYMBOLS);
	expect(board.update(quote("S0", 2))?.direction).toBe(1);
});
