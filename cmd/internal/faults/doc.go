// Package faults is the harness behind `make faults`: it runs gateways on a NATS
// cluster behind a load balancer, all of them real, breaks them on purpose while
// clients of several libraries follow, and holds every event that each client was
// given to what the publishers were acknowledged.
//
//	publishers ──HTTP──▶ HAProxy ─link─▶ gateway 0…2 ─link─▶ NATS 0…2 ─links─ each other
//	     └───────NATS──────────────────────────────────────▶
//	clients   ◀──────── HAProxy
//
// What it promises:
//   - An event that was acknowledged and did not come is found, unless a gap that the
//     client was told says so; so are one that came twice, out of order, altered or to
//     the wrong client, and a gap that nothing was the cause of. The tests of the checker
//     show each.
//   - The same seed makes the same faults in the same order, to the same parts. When
//     exactly they meet which event is not in the seed.
//   - A fault that cannot be made here is left out, and the report says so.
//   - Never is more than one NATS server away at a time, and no acknowledged event is on
//     fewer than two.
//   - Everything it has started is ended, also after a failure; stores and logs stay.
//
// What it does not promise:
//   - To be right about NATS: the stream is read at the end, and an acknowledged event
//     that it lacks is reported as lost by NATS.
//   - That times of recovery are those of a network: links are in this process, on a
//     machine that does everything else too.
//   - Anything about a client whose library has ended for good: its user opens it again,
//     after the last id it was given, and that is counted.
//
// [Soak] runs the same parts without faults, under clients that come and go, and fails
// where memory, goroutines, open files or the ring grow.
//
// [Rolling] restarts the gateways one after the other under thousands of clients that do as
// browsers do, and fails where they come back in bursts, would not come back, or cost the
// gateways much more for long. [Sizing] measures what one to three gateways, and NATS, take for
// the same load, by the load generator of `ringcast bench`. Both without links.
//
// Links need no privileges. A disk that is full takes root, for a file system of its
// own; without, that kind is left out.
//
// It runs on Linux only, as `ringcast bench` does.
//
// Concurrency: [Run], [Soak], [Rolling] and [Sizing] each use the whole machine; one at a time.
package faults
