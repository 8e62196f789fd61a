// Package gateway is Ringcast's HTTP side: it turns requests into subscriptions
// of a broker.Hub and publications of a broker.Publisher. PROTOCOL.md, beside this
// package's folder, is the contract with its clients.
//
// routes.go lists every route; each has a file of its own. What all requests have,
// ids, spans and lines in the log, is request.go's. A stream's way is
// stream.go (parse), then page.go (JSON) or events.go (Server-Sent Events), which
// subscribes. What a client is told, in bytes, is script.go's and encoding.go's. Two
// things carry it: over plain HTTP/1.1 takeover.go, on the connection itself, served by
// shard.go; and over everything else response.go, by way of net/http.
//
// What a gateway knows of others it knows by package peers: subscriptions.go asks them who
// is connected to what. Who is on a subject package presence tells, of which a stream is
// told when it begins and ends.
//
// What it promises:
//   - Whatever can be refused is refused before a stream starts, as
//     application/problem+json (RFC 9457). After the headers a stream only ends.
//   - A clean end of the body means that the stream is finished. Everything else,
//     a drain included, cuts the connection without one, so that clients come back.
//   - A client that does not read costs a goroutine and one write buffer, and is cut
//     after the write time-out. One that has nothing to get costs neither.
//   - At the level info nothing is logged that a client can have as often as it likes,
//     but what the gateway itself fails; at debug a line for each request, and two for a
//     stream (streamlog.go), never one for an event. No line has a token or a ticket.
//   - Liveness does not depend on NATS; readiness says what is missing.
//
// What it does not promise: that bytes handed to the kernel have arrived.
//
// Concurrency: a Server's methods may be called from any goroutine. Echo's types
// stay inside the package.
package gateway
