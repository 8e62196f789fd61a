package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	defaultConcurrency    = 16
	defaultHistoryTimeout = 10 * time.Second
	// maxPull bounds one request for messages; a page that wants more is shorter
	// than it could be.
	maxPull = 1000
	// maxPageBytes bounds an answer whatever its caller would take.
	maxPageBytes = 8 << 20
)

// HistoryOptions configures a History.
type HistoryOptions struct {
	// Stream is the name of the stream. Required.
	Stream string
	// Concurrency is how many questions may be asked at a time; others wait.
	// Default: 16.
	Concurrency int
	// Timeout bounds one question, waiting included. Default: 10 s.
	Timeout time.Duration
	// CacheBytes bounds what is kept in memory of events that were read ahead, for
	// whoever reads them next. Less makes readers that are behind the ring, above all
	// many of them, ask the stream more often. Default: 32 MiB.
	CacheBytes int
}

// History answers from the stream itself what is older than the ring. It
// implements broker.History, where its methods are described.
//
// Memory: CacheBytes, and for each question under way about 8 MiB, or more where single
// events have that size.
type History struct {
	c       *Client
	stream  string
	timeout time.Duration
	slots   chan struct{} // one token for each question under way
	origins chan struct{} // one token for each question to a mirror's origin
	cache   cache
	looks   looks
}

var _ broker.History = (*History)(nil)

// NewHistory returns the history of one stream.
func NewHistory(c *Client, opt HistoryOptions) *History {
	if opt.Concurrency <= 0 {
		opt.Concurrency = defaultConcurrency
	}
	if opt.Timeout <= 0 {
		opt.Timeout = defaultHistoryTimeout
	}
	if opt.CacheBytes <= 0 {
		opt.CacheBytes = defaultCacheBytes
	}
	return &History{
		c:       c,
		stream:  opt.Stream,
		timeout: opt.Timeout,
		slots:   make(chan struct{}, opt.Concurrency),
		origins: make(chan struct{}, originQuestions),
		cache:   cache{maxBytes: opt.CacheBytes},
	}
}

// ask runs one question within the bounds of concurrency and time, and sorts
// its error.
func (h *History) ask(ctx context.Context, verb string, question func(context.Context) error) error {
	return h.within(ctx, verb, func(ctx context.Context) error {
		return h.withSlot(ctx, func() error { return question(ctx) })
	})
}

// within answers within the bounds of time and of the connection's life, and sorts the
// error.
func (h *History) within(ctx context.Context, verb string, answer func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, errAskTimeout)
	defer cancel()
	ctx, cancelLive := h.c.whileConnected(ctx)
	defer cancelLive()
	if d := h.c.divergence(); d != nil { // the mirror may hold events of two streams
		return unavailable(ctx, verb, d)
	}
	err := answer(ctx)
	if errors.Is(err, broker.ErrTooMany) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return unavailable(ctx, verb, h.c.redact.err(err))
}

// withSlot runs a question when fewer than the bound are under way. One question must
// not wait for another within.
func (h *History) withSlot(ctx context.Context, question func() error) error {
	return withToken(ctx, h.slots, question)
}

func withToken(ctx context.Context, tokens chan struct{}, question func() error) error {
	select {
	case tokens <- struct{}{}:
		defer func() { <-tokens }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return question()
}

// Bounds implements broker.History.
func (h *History) Bounds(ctx context.Context) (b broker.Bounds, err error) {
	err = h.ask(ctx, "ask stream bounds", func(ctx context.Context) error {
		b, err = h.bounds(ctx)
		return err
	})
	return b, err
}

func (h *History) bounds(ctx context.Context) (broker.Bounds, error) {
	info, err := h.c.streamInfo(ctx, h.stream)
	if err != nil {
		return broker.Bounds{}, err
	}
	return broker.Bounds{Floor: floorOf(info.State), Head: headOf(info.State)}, nil
}

// Newest implements broker.History. Of a mirror, the origin is asked.
func (h *History) Newest(ctx context.Context) (id broker.ID, err error) {
	err = h.within(ctx, "ask for the newest event", func(ctx context.Context) error {
		if err := h.withSlot(ctx, func() error {
			b, err := h.bounds(ctx)
			id = b.Head
			return err
		}); err != nil {
			return err
		}
		o, ok := h.c.mirrorOf()
		if !ok {
			return nil
		}
		return withToken(ctx, h.origins, func() (err error) {
			state, err := h.c.originState(ctx, o)
			id = headOf(state)
			return err
		})
	})
	return id, err
}

// At implements broker.History.
func (h *History) At(ctx context.Context, seq uint64) (id broker.ID, ok bool, err error) {
	if seq == 0 {
		return broker.ID{}, false, nil
	}
	err = h.within(ctx, "look up event", func(ctx context.Context) error {
		id, ok, err = h.at(ctx, seq)
		return err
	})
	return id, ok && err == nil, err
}

// at takes what was read from the stream when a look tells that it holds it still: looks
// are shared, and do not bring the event along.
func (h *History) at(ctx context.Context, seq uint64) (id broker.ID, ok bool, err error) {
	if id, generation, ok := h.cache.at(seq); ok {
		k, err := h.look(ctx)
		if err != nil {
			return broker.ID{}, false, err
		}
		if k.generation == generation && k.floor.Seq < seq {
			return id, true, nil
		}
	}
	err = h.withSlot(ctx, func() error {
		var e broker.Event
		e, ok, err = h.c.getMsg(ctx, h.stream, msgGetRequest{Seq: seq})
		id = e.ID
		return err
	})
	return id, ok, err
}

// LastOf implements broker.History.
func (h *History) LastOf(ctx context.Context, subject string) (id broker.ID, end bool, ok bool, err error) {
	err = h.ask(ctx, "look up last event of subject", func(ctx context.Context) error {
		var e broker.Event
		e, ok, err = h.c.getMsg(ctx, h.stream, msgGetRequest{LastFor: subject})
		id, end = e.ID, e.End
		return err
	})
	return id, end, ok && err == nil, err
}

// Seek implements broker.History.
func (h *History) Seek(ctx context.Context, t time.Time) (at broker.ID, err error) {
	err = h.ask(ctx, "seek in stream", func(ctx context.Context) error {
		at, err = h.seek(ctx, t)
		return err
	})
	return at, err
}

func (h *History) seek(ctx context.Context, t time.Time) (broker.ID, error) {
	// Before the scan: an event that arrives in between is then after the head,
	// not skipped by it.
	bounds, err := h.bounds(ctx)
	if err != nil {
		return broker.ID{}, err
	}
	s, err := h.c.openScan(ctx, h.stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy,
		OptStartTime:  &t,
		HeadersOnly:   true,
	})
	if err != nil {
		return broker.ID{}, err
	}
	defer s.close()
	at := bounds.Head
	_, err = s.pull(ctx, 1, 1, func(m scanned) bool {
		at = before(m.event.ID.Seq)
		return false
	})
	return at, err
}
