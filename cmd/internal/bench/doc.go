// Package bench is the load generator behind `ringcast bench`: thousands of SSE
// clients on one epoll loop, a publisher beside them, and the server's own account
// of what that cost it.
//
// What it promises:
//   - Every event is checked at every client, always: each carries its subject, its
//     place there and the time at which it was due. What is missing, comes twice, out
//     of order or to the wrong client is counted and never part of a good result. Of
//     what is conflated the last event of each subject has to come, in order, and no
//     id may fall.
//   - A latency counts from the time at which an event was due, not from when the
//     publisher got to it: a server that holds up its publisher does not look fast
//     for it.
//   - Its memory is bounded: a histogram of fixed size, one read buffer for all
//     clients, and a client keeps at most one unfinished line.
//   - The server is measured from outside, by /proc: processor time and memory of
//     the given processes and all their descendants.
//
// What it does not promise:
//   - To be a client for anything else: it reads streams of HTTP/1.1 whose lines
//     end in LF or CRLF (not in CR alone), and events of one data line. TLS,
//     redirects and reconnects are not for it.
//   - An absolute figure. It shares the machine with the server, so only ratios
//     of one run on one machine say something.
//   - To tell a repeated event from a late one when it is more than 64 places
//     late: that counts as repeated, and as lost before.
//
// It runs on Linux only. Concurrency: [Run] may be called several times at once;
// one goroutine of it owns all clients, one or a few publish.
package bench
