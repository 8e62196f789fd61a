// Package tracing makes the OpenTelemetry spans of an event's way through a gateway:
//
//	POST /v1/publish/:subject      the HTTP call; or a producer's own span
//	└─ publish                     until JetStream has stored it
//	   └─ ingest                   from its arrival here until subscriptions can have it
//	      ├─ ring                  the part of that in the local log and the hub
//	      └─ deliver               the first write of it to a client of this gateway
//
// What holds the trace together is the header traceparent (W3C Trace Context), of an
// HTTP request and then of the stored NATS message. The ring does not keep it: what is
// replayed from there is no part of a trace.
//
// What it promises:
//   - A nil *Tracing is off, and costs a comparison.
//   - An event without a sampled traceparent costs no span, whatever the sampler says:
//     a trace begins with a producer, or with an HTTP call, and not here. So does one
//     that was stored more than a minute ago, as those are that refill a ring.
//   - What a batch costs is bounded: of one, [MaxPerBatch] events are traced at most,
//     and [maxWaiting] wait for their first delivery.
//
// What it does not promise: a span "deliver" for an event that nobody was there for.
//
// Concurrency: everything may be called from any goroutine.
package tracing
