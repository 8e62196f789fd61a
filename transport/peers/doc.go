// Package peers lets the gateways of one stream know each other, over core NATS.
//
//	_ringcast.<stream>.beat            every gateway: I am here; and once: I am leaving
//	_ringcast.<stream>.ask.<question>  a question to all, which each answers to an inbox
//
// An operator who limits what gateways may do on NATS lets them publish and subscribe
// to _ringcast.<stream>.> besides what the stream needs. These subjects are in no stream.
//
// What it promises:
//   - A gateway that falls silent is gone after [Options.Gone]; while this one has no
//     connection itself, nobody is.
//   - A run of the program is told from the one before, and from another with the same
//     name: by a number that it draws.
//   - [Network.Ask] says who has not answered. It never waits longer than its context.
//   - Memory is bounded: [maxPeers] gateways, one answer each.
//
// What it does not promise: that a gateway which has just come is known to all. It asks
// the others to show themselves when it comes, so that takes a round trip.
//
// Concurrency: a [Network] may be used from any number of goroutines. Handlers are
// called from goroutines of their own.
package peers
