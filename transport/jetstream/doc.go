// Package jetstream is Ringcast's side of NATS: the embedded server or a
// connection to an external one, the stream that is the truth, the reader that
// copies it into the ring, the history that answers what the ring no longer
// holds, and the publisher.
//
//	StartEmbedded ─▶ Connect ─▶ EnsureStream ─▶ Reader.Run ─▶ broker.Sink
//	                    │                        History ──▶ broker.History
//	                    └─▶ Publish, PublishAfter
//
// What it promises:
//   - [Reader] gives the sink every event of the stream after the sink's head,
//     in order, once; or it resets the sink, so that subscriptions are told.
//     Before it appends anything it has verified that the stream still holds the
//     very event that is the sink's head.
//   - With a filter the reader gives the sink what matches, with the same promise, and marks
//     for the rest (see filter.go).
//   - A connection is kept for ever, whatever happens to the server. What only an
//     operator can mend is an error at the start that matches [ErrConfig].
//   - An existing stream is not changed without being asked to.
//   - The stream may be a mirror, whose ids are its origin's. An id that it has not got
//     yet is asked of the origin, and where the origin's retention was faster than the
//     mirror, that is told as a gap (see mirror.go). A mirror is never replaced by a
//     stream of another kind. While it holds events that its origin does not, nothing is
//     read, and the operator is told (see diverged.go).
//   - [History] answers for the stream's leader, or returns an error that wraps
//     broker.ErrUnavailable. It never passes off a partial answer as a whole one.
//   - Memory is bounded: a session of the reader holds one batch, one inbox and
//     two pull requests, each bounded in bytes; a history's pages under way are
//     bounded too, and so is what it keeps of them for a few seconds
//     ([HistoryOptions].CacheBytes).
//   - Credentials, of URLs and otherwise, are in no log line, status or error.
//
// What it does not promise:
//   - Exactly-once publishing. A publish without acknowledgement may have been
//     stored; [Message].MsgID makes repeating it safe for two minutes.
//   - That a replaced stream is noticed when nothing is left to compare: the
//     ring's newest event gone from the stream, later stamps, no lower sequence.
//   - On a replicated stream: that History, asked at the very moment at which a
//     replica has received but not applied an event, sees that event. Replicas
//     that lag by the leader's account are not asked.
//   - Events that were deleted one by one (as opposed to expired) are left out
//     without a word: whoever deletes them wants that. On a mirror they cannot be told
//     from expired ones, and what lies before them is as gone.
//   - That a divergence is seen in time: of a mirror that goes on with a new origin's events
//     within two seconds of that, and without having been cut off, these may be given to
//     who is there. (The server takes ten.) Nor that one is found by a reader that starts
//     with an empty sink when more has come after it than an older copy, which was put
//     back, had lost: it compares some twenty events.
//
// Concurrency: [Client] and [History] may be used from any number of goroutines.
// [Reader].Run is for one goroutine at a time and is the only one that calls the
// sink; [Reader].Status may be called from anywhere. No lock of this package is
// held over a network call.
//
// # What the code guards against
//
// Measured with nats-server 2.15.2 and nats.go 1.55.0, in a test of this package
// unless noted.
//
// Of the server:
//   - NewServer installs signal handlers unless NoSigs is set before it.
//   - A taken port or a failing JetStream is told to the logger as a fatal error,
//     and Start returns as if nothing had happened.
//   - The store directory is not locked: two servers on one corrupt it.
//   - Restoring an older copy of the store keeps the stream's creation time and
//     reuses sequences, so only an event's stamp tells. Deleting and making the
//     stream again starts at sequence 1.
//   - The state's last_ts is the stamp of last_seq for as long as the stream
//     lives: after a purge, after deleting the last message, after all expired,
//     after a restart, after a copy taken while running (as kill -9 leaves it),
//     and with the index file gone. Hence an empty stream can be compared too.
//   - A start sequence that retention has taken is clamped without a word; one in
//     the future is not, and the consumer is silent until it comes. Hence the
//     audits, and the look at first_seq wherever sequences are missing.
//   - Filter subjects of one consumer must not overlap; ones that lie outside the
//     stream's subjects are accepted.
//   - A pull request whose max_bytes is below the next message returns nothing,
//     for ever. Hence max_payload is always added to a bound.
//   - Direct get and consumers are served by any replica.
//   - Making a stream again right after it was deleted fails now and then (500,
//     10049, "error creating store for stream": the old directory is still being
//     removed). EnsureStream's error is then temporary.
//   - A paused consumer stays silent while its heartbeats go on: an audit, not a
//     heartbeat, notices.
//   - A mirror does not notice that its origin was made again. It hears nothing for ten
//     seconds, asks for what comes after its own last sequence, and then waits, with no
//     error and no lag, or goes on with the new origin's events at once.
//   - A deleted stream tells a waiting pull "consumer deleted" at once, even if
//     the stream is made again right away.
//
// Of nats.go:
//   - An answer on its way when the connection breaks is waited for until the
//     request's timeout. Every request here ends with the connection instead.
//   - Its ordered consumer never delivers again after the stream was made again
//     or rewound, and skips in silence what retention took. It is not used.
//   - Stop in the error handler of Consume deadlocks. It is called by the session.
//   - With AckNone, messages sent while the connection breaks are gone: the
//     consumer's sequence then has a hole. Any interruption ends the session.
//   - While disconnected it buffers publishes and sends them later, after the
//     caller was told that they failed. The buffer is turned off.
//   - Two refused logins in a row close the connection for good, unless told not
//     to.
//   - It redacts passwords of URLs in its own text, but not tokens, and neither in
//     the error of a URL that does not parse.
//   - Each message has a payload slice of its own (headers and payload copied out
//     of the read buffer together), so an event that keeps it pins at most its own
//     headers besides.
package jetstream
