// Package gateway is Ringcast's HTTP side: it turns requests into subscriptions
// of a broker.Hub and publications of a broker.Publisher. PROTOCOL.md, beside this
// package's folder, is the contract with its clients.
//
// routes.go lists every route; each has a file of its own. A stream's way is
// stream.go (parse, subscribe), then events.go (Server-Sent Events) or page.go
// (JSON).
//
// What it promises:
//   - Whatever can be refused is refused before a stream starts, as
//     application/problem+json (RFC 9457). After the headers a stream only ends.
//   - A clean end of the body means that the stream is finished. Everything else,
//     a drain included, cuts the connection without one, so that clients come back.
//   - A client that does not read costs its own goroutine and one write buffer,
//     and is cut after the write time-out.
//   - Liveness does not depend on NATS; readiness says what is missing.
//
// What it does not promise: that bytes handed to the kernel have arrived.
//
// Concurrency: a Server's methods may be called from any goroutine. Echo's types
// stay inside the package.
package gateway
