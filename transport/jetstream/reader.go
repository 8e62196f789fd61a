package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"ringcast/broker"
	"ringcast/transport/tracing"
)

const (
	defaultBatchEvents   = 4096
	defaultBatchBytes    = 8 << 20
	defaultAuditInterval = 2 * time.Second
	requestTimeout       = 5 * time.Second

	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
	// A session that lasted this long was no failure to start: the next one
	// begins without delay.
	stableAfter = 10 * time.Second
)

// ReaderOptions configures a Reader.
type ReaderOptions struct {
	// Stream is the name of the stream. Required.
	Stream string
	// Filter are the subjects, none of which overlap, of the events that the sink is to
	// get. Beside these it gets marks: events of other subjects without type and payload,
	// so that its head follows the stream. Default: all.
	Filter []string
	// RingEvents is how many events the sink can hold. What would be evicted
	// while catching up is not copied at all. Default: no bound.
	RingEvents uint64
	// BatchEvents and BatchBytes bound one Append; a single larger event goes
	// alone. Default: 4,096 and 8 MiB.
	BatchEvents, BatchBytes int
	// AuditInterval is how often the stream's state is compared with what was
	// read. Default: 2 s.
	AuditInterval time.Duration
	// Missing is called when the stream does not exist, before the next try, for
	// example to make it again. Default: the reader waits for somebody to.
	Missing func(context.Context) error
	// Tracing makes spans of what is read. Default: none.
	Tracing *tracing.Tracing
	// Logger receives what an operator should know. Default: none.
	Logger *slog.Logger
}

// Reader copies a stream into a sink, in order, for ever. One Run at a time;
// Status may be called from any goroutine.
type Reader struct {
	c   *Client
	opt ReaderOptions
	log *slog.Logger

	cutOff bool // whether it was logged that a mirror is; it belongs to Run

	mu     sync.Mutex // guards the fields below; nothing blocks while it is held
	status ReaderStatus
	common common
	// lastTypeWarning limits the warnings about event types.
	lastTypeWarning time.Time
}

// ReaderStatus is what is known of the copy.
type ReaderStatus struct {
	// LastSeq is the newest sequence that the stream is known to hold, Position
	// the newest that was given to the sink.
	LastSeq, Position uint64
	// Lag is how many sequences the sink is behind the stream, as of the last
	// look at it; with a filter, how many events that match.
	Lag uint64
	// CaughtUp reports that the sink has once held all that was in the stream
	// when the reader started. It stays true.
	CaughtUp bool
	// Problem says why nothing is read at the moment, empty when reading.
	Problem string
	// Resets counts how often the sink was emptied because the stream was
	// replaced, rewound, or the sink was corrupt; Overtaken, because retention
	// removed events before they were read; Skipped, because the stream was
	// further ahead than the sink can hold.
	Resets, Overtaken, Skipped uint64
	// Restarts counts sessions after the first.
	Restarts uint64
	// InvalidTypes counts events whose Ringcast-Event was not allowed; they were
	// delivered without a name.
	InvalidTypes uint64
	// Mirror is for a stream that is a mirror.
	Mirror MirrorStatus
}

// MirrorStatus is how a mirror stands to its origin; of another stream it is zero.
type MirrorStatus struct {
	// Lag is how many events of the origin the mirror has yet to get, as of the last time
	// that they heard of each other.
	Lag uint64
	// CutOff reports that it has no contact with its origin. Diverged, that the origin was
	// made again or put back and does not hold what the mirror does: nothing is read then.
	CutOff, Diverged bool
}

// NewReader returns a reader of one stream.
func NewReader(c *Client, opt ReaderOptions) *Reader {
	if opt.BatchEvents <= 0 {
		opt.BatchEvents = defaultBatchEvents
	}
	if opt.BatchBytes <= 0 {
		opt.BatchBytes = defaultBatchBytes
	}
	if opt.AuditInterval <= 0 {
		opt.AuditInterval = defaultAuditInterval
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Reader{c: c, opt: opt, log: opt.Logger.With("stream", opt.Stream), status: ReaderStatus{Problem: "not started"}}
}

// Status returns what is known of the copy.
func (r *Reader) Status() ReaderStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run reads until ctx ends, and returns nil then. It calls the sink's methods
// from one goroutine. Whatever goes wrong (NATS away, the stream gone or made
// again, the sink failing) it starts again at the sink's head, which is then
// verified against the stream.
func (r *Reader) Run(ctx context.Context, sink broker.Sink) error {
	var failures int
	for first := true; ; first = false {
		if !first {
			r.update(func(s *ReaderStatus) { s.Restarts++ })
		}
		start := time.Now()
		progress, err := r.session(ctx, sink)
		if ctx.Err() != nil {
			return nil
		}
		if progress || time.Since(start) > stableAfter {
			failures = 0
		}
		r.report(err, failures)
		if errors.Is(err, ErrDisconnected) {
			r.awaitConnection(ctx)
		} else {
			pause(ctx, failures)
		}
		failures++
	}
}

// report shows why a session ended, and logs it unless that is done elsewhere or
// would only repeat the last one.
func (r *Reader) report(err error, failures int) {
	err = r.c.redact.err(err)
	var changed bool
	r.update(func(s *ReaderStatus) {
		changed = s.Problem != err.Error()
		s.Problem = err.Error()
	})
	if ordinary(err) || !changed && failures > 0 {
		return
	}
	r.log.Warn("reading the stream was interrupted: starting again", "error", err)
}

// ordinary reports whether the reason is logged already, by the client or on
// resetting the sink, or will be if it turns out to matter: a stream that was
// made again or rewound is noticed as such when the next session begins.
func ordinary(err error) bool {
	return errors.Is(err, errStartOver) || errors.Is(err, ErrDisconnected) ||
		errors.Is(err, errReplaced) || errors.Is(err, errRewound) || errors.Is(err, errDiverged)
}

// awaitConnection waits for the client's connection, or for a moment: whether
// there is one is told by different callbacks of nats.go, so one may come late.
func (r *Reader) awaitConnection(ctx context.Context) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-r.c.connected():
		pause(ctx, 1) // the server that is just up may still open its streams
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pause waits before the next try: not at all after a session that worked, and
// then longer each time, with jitter so that instances do not try in step.
func pause(ctx context.Context, failures int) {
	if failures == 0 {
		return
	}
	d := min(minBackoff<<min(failures, 10), maxBackoff)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *Reader) update(f func(*ReaderStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.status)
}

const typeWarningInterval = 10 * time.Second

// invalidType counts an event whose type is not allowed, and warns now and then.
func (r *Reader) invalidType(subject string, err error) {
	r.mu.Lock()
	r.status.InvalidTypes++
	total := r.status.InvalidTypes
	quiet := time.Since(r.lastTypeWarning) < typeWarningInterval
	if !quiet {
		r.lastTypeWarning = time.Now()
	}
	r.mu.Unlock()
	if !quiet {
		r.log.Warn("event type is not allowed: the event goes without a name", "subject", subject, "error", err, "total", total)
	}
}
