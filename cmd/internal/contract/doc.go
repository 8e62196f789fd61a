// Package contract puts Ringcast's own client of event streams (sse.Client, which
// `ringcast sub` uses) behind the service protocol of the published SSE contract
// tests, so that their harness can drive it:
//
//	harness ──POST /, commands──▶ Service ──▶ sse.Client ──▶ the harness's streams
//	   ▲                                          │
//	   └─────────POST callbackUrl/1, /2, …────────┘
//
// https://github.com/launchdarkly/sse-contract-tests/blob/main/docs/service_spec.md
// is the protocol, and docs/optional_features.md there says what each capability
// stands for.
//
// What is promised: what is reported is what the client handed over, in its order,
// each report after the harness has answered the one before. [Serve] leaves neither
// a goroutine nor a connection behind.
//
// What is not promised: that a report arrives. One that the harness refuses is
// logged and not sent again, and the harness misses it. Nor does the service defend
// itself: it requests whatever URL it is told, and belongs on the loopback
// interface.
//
// The harness itself has not been run: the module proxy refused each version that
// was asked for. The tests here go through the harness's, as its source has them,
// one by one and over the same protocol; it has none in that source for
// server-directed-shutdown-request by this name, which is taken for an answer of 204.
package contract
