// Package sse is the wire of Ringcast, both ways: it writes server-sent events
// as the gateway sends them and reads them as the EventSource standard says
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
//	broker.Event ──Format.AppendFrame──▶ bytes ──Decoder──▶ Message
//	                                       └──── Client ────▶ Message, for ever
//
// Writing. The Append functions add to a byte slice and return it, as append
// does; with enough capacity they allocate nothing that grows with the event.
// What they write depends on their arguments alone, so one encoding serves every
// client of a [Format]. A compressed stream is one gzip member put together from
// runs, of which those of events are made once for all as well (gzip.go).
//
// What is promised of the bytes:
//   - A payload comes out of any conforming client as it went in, save that CRLF
//     and CR become LF (the format cannot carry them) and that a payload that is
//     not UTF-8 becomes a JSON object with data_base64.
//   - id: is the last line of its block. Two common clients commit the id when
//     they read the line and not at the blank line; with the id first, a
//     connection cut inside the block would lose them the event.
//   - Nothing but an event or a bookmark ends in a blank line. The most used
//     fetch client fires an empty message for a comment or a retry: that does.
//   - The JSON written is valid whatever the event holds.
//
// Reading. A [Decoder] turns bytes into messages and returns each one as soon as
// its blank line is there, however the bytes were cut on the way. A [Client]
// keeps a stream open: it resumes by the last id, waits between attempts as the
// server asks, and notices a connection on which nothing arrives.
//
// What is not promised: that a Client hands over what the server no longer has
// (Ringcast tells that in band, see [GapEvent]), or that its listener sees an
// event once where a server without ids sends it again.
//
// Concurrency: the Append functions may be called from any goroutine. A Decoder
// belongs to one. A Client may Run several times at once.
package sse
