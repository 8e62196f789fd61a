// Package demo publishes what `ringcast demo` shows: quotes of 200 made-up stocks
// on events.quotes.<SYMBOL> and notifications on events.notify.<user>. It publishes
// over plain NATS, as any producer would, and knows nothing of Ringcast but the
// header that names an event.
//
// What it promises: [Producers.Run] publishes until its context is done, skips what
// cannot be published while NATS is away, and leaves no goroutine behind.
//
// What it does not promise: that the quotes have anything to do with a market.
//
// Concurrency: a Producers value belongs to one goroutine.
package demo
