// Package presence tells who is on a subject: joins and leaves are events of the
// stream, on the subject with the token $presence in second place.
//
//	gateway ── Enter, Leave ──▶ here: what this gateway's clients are on
//	                             │ compared now and then, and told: join, leave
//	                             ▼
//	stream ── events.$presence.> ──▶ rooms: who is on what, as the events say
//
// An identity is on a subject while some gateway has a stream of its that names the
// subject, without wildcards. The events are the state: rooms is nothing but what they
// add up to, the same on every gateway at the same position, and the same for a client
// that reads them. Where here and rooms differ, a gateway publishes an event:
//
//	P1  An event follows from what the events of its subject before it add up to. It is
//	    stored only if the newest of these is still the newest (see [Publisher]); else
//	    another gateway was first, and this one looks again. So nothing is told twice.
//	P2  A leave needs that no gateway has the identity, nor has had it for the grace:
//	    all that are known were asked, and all have answered. While one of them leaves
//	    or is silent and not gone yet, and for a while after this one has started or was
//	    cut off from the others, there are no leaves: its clients are on their way.
//	P3  What nobody has is found in the end: the first of the gateways, in the order of
//	    their runs, goes through all rooms when another one is gone, and every minute.
//	P4  An identity is told again when its event comes to be among the oldest that the
//	    stream holds, so that what is held adds up to everybody.
//
// What it promises:
//   - Opening a stream waits for nothing but a short lock. What is told is told later,
//     of all who have come to a subject within [Options.Interval] in one event.
//   - Who comes back within the grace, to whichever gateway, has not left.
//   - When a gateway dies its clients leave, each by one event, once it is taken for gone
//     and the grace is over.
//   - Memory is bounded by the streams open and by those present.
//
// What it does not promise: that a leave is told while NATS is away, or while no gateway
// runs. It is when one does.
//
// Concurrency: a [Tracker] may be used from any number of goroutines.
package presence
