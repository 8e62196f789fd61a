// Package broker is the domain of Ringcast: events and their ids, subject
// filters, and the hub that lets any number of subscriptions follow one log.
//
// The picture:
//
//	source ──Append──▶ Hub ──▶ Log (the local ring), tail (its newest part in memory)
//	                    │ marks and wakes the feeds whose filter matches
//	                    ▼
//	               feed: the subscriptions of one Filter
//	               Subscription: a cursor in the log plus a Filter
//
// A [Subscription] holds no queue. It is a position, and live is replay that
// has caught up: there is one read path, so there is no seam between history
// and live. It leads from the position to the tail, else to the log, else to the
// History. A subscriber that does not read costs its cursor and nothing else.
//
// What the package promises:
//   - A subscription returns every matching event after its start, in id order,
//     once; or it returns a [Gap] that says what is missing. Nothing is skipped
//     in silence.
//   - An id is verified against the log before it is trusted (see [ID]).
//   - Append never waits for a subscriber.
//
// What it does not promise: that a subscriber has handled what it was given.
//
// Concurrency: a [Hub] may be used from any number of goroutines, with one
// exception: the methods of [Sink] are called by one goroutine at a time (the
// source). A [Subscription] belongs to one goroutine at a time, save its Ready
// channel and Close.
//
// The package knows neither HTTP nor NATS nor bbolt: it reads through [Log] and
// [History], which package replay and package transport/jetstream implement.
package broker
