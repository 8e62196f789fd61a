// Package demo publishes what `ringcast demo` shows: quotes of 200 made-up stocks
// on events.quotes.<SYMBOL> and notifications on events.notify.<user>, over plain NATS,
// as any producer would, knowing nothing of Ringcast but the header that names an event.
// And it answers questions on the subject chat, from built-in texts, as any worker would.
//
// What it promises: [Producers.Run] publishes until its context is done, skips what
// cannot be published while NATS is away, and leaves no goroutine behind. [Answers]
// say first of which bytes the whole text will be, so that a test can compare it.
//
// What it does not promise: that the quotes have anything to do with a market, or the
// answers with what was asked.
//
// Concurrency: a Producers value belongs to one goroutine, Answers to any number.
package demo
