package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	// maxPageBytes bounds a page whatever its caller would take.
	maxPageBytes = 8 << 20
	// getParallel is how many messages of one Get are on the way at a time.
	getParallel = 8
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
}

// History answers from the stream itself what is older than the ring. It
// implements broker.History, where its methods are described.
//
// Memory: at most Concurrency pages of at most 8 MiB, or of one event that is
// larger.
type History struct {
	c       *Client
	stream  string
	timeout time.Duration
	slots   chan struct{} // one token for each question under way
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
	return &History{c: c, stream: opt.Stream, timeout: opt.Timeout, slots: make(chan struct{}, opt.Concurrency)}
}

// ask runs one question within the bounds of concurrency and time, and sorts
// its error.
func (h *History) ask(ctx context.Context, verb string, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, errAskTimeout)
	defer cancel()
	ctx, cancelLive := h.c.whileConnected(ctx)
	defer cancelLive()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return unavailable(ctx, verb, context.Cause(ctx))
	}
	err := question(ctx)
	if errors.Is(err, broker.ErrTooMany) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return unavailable(ctx, verb, h.c.redact.err(err))
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

// Read implements broker.History.
func (h *History) Read(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (p broker.Page, floor broker.ID, err error) {
	err = h.ask(ctx, "read stream", func(ctx context.Context) error {
		if p, err = h.read(ctx, after, upTo, f, lim); err != nil {
			return err
		}
		// After the page: what retention took while it was read shows.
		bounds, err := h.bounds(ctx)
		floor = bounds.Floor
		return err
	})
	if err != nil {
		return broker.Page{}, broker.ID{}, err
	}
	return p, floor, nil
}

func (h *History) read(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (broker.Page, error) {
	complete := broker.Page{Position: broker.ID{Seq: upTo, Stamp: broker.NoStamp}}
	if after >= upTo {
		return complete, nil
	}
	s, err := h.c.openScan(ctx, h.stream, jetstream.ConsumerConfig{
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    after + 1,
		FilterSubjects: disjoint(f.Subjects()),
	})
	if err != nil {
		return broker.Page{}, err
	}
	defer s.close()
	if s.pending == 0 {
		return complete, nil
	}

	page := pageBuilder{upTo: upTo, filter: f, lim: lim}
	page.lim.Bytes = min(lim.Bytes, maxPageBytes)
	n := maxPull
	if len(f.Types()) == 0 {
		n = min(n, lim.Events+1) // one more tells whether there is more
	}
	done, err := s.pull(ctx, n, page.lim.Bytes, page.add)
	if err != nil {
		return broker.Page{}, err
	}
	if done || page.passed {
		complete.Events = page.events
		return complete, nil
	}
	if page.position.Seq == 0 {
		return broker.Page{}, errors.New("the server delivered no message of those that it has")
	}
	return broker.Page{Events: page.events, Position: page.position, More: true}, nil
}

// pageBuilder collects the events of a page.
type pageBuilder struct {
	upTo   uint64
	filter broker.Filter
	lim    broker.Limits

	events   []broker.Event
	bytes    int
	position broker.ID // of the last message looked at
	passed   bool      // a message beyond upTo was seen
}

// add looks at the next message and reports whether another one is wanted.
func (p *pageBuilder) add(m scanned) bool {
	e := m.event
	if e.ID.Seq > p.upTo {
		p.passed = true
		return false
	}
	if p.filter.MatchesSubject(e.Subject) && p.filter.MatchesType(e.Type) {
		full := len(p.events) >= p.lim.Events || len(p.events) > 0 && p.bytes+e.Size() > p.lim.Bytes
		if full {
			return false
		}
		p.events = append(p.events, e)
		p.bytes += e.Size()
	}
	p.position = e.ID
	return true
}

// At implements broker.History.
func (h *History) At(ctx context.Context, seq uint64) (id broker.ID, ok bool, err error) {
	if seq == 0 {
		return broker.ID{}, false, nil
	}
	e, ok, err := h.get(ctx, "look up event", msgGetRequest{Seq: seq})
	return e.ID, ok, err
}

// LastOf implements broker.History.
func (h *History) LastOf(ctx context.Context, subject string) (id broker.ID, end bool, ok bool, err error) {
	e, ok, err := h.get(ctx, "look up last event of subject", msgGetRequest{LastFor: subject})
	return e.ID, e.End, ok, err
}

func (h *History) get(ctx context.Context, verb string, req msgGetRequest) (e broker.Event, ok bool, err error) {
	err = h.ask(ctx, verb, func(ctx context.Context) error {
		e, ok, err = h.c.getMsg(ctx, h.stream, req)
		return err
	})
	return e, ok && err == nil, err
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

// Get implements broker.History.
func (h *History) Get(ctx context.Context, seqs []uint64, lim broker.Limits) (events []broker.Event, next int, err error) {
	err = h.ask(ctx, "get events", func(ctx context.Context) error {
		events, next, err = h.getMany(ctx, seqs, lim)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return events, next, nil
}

func (h *History) getMany(ctx context.Context, seqs []uint64, lim broker.Limits) (events []broker.Event, next int, err error) {
	maxBytes, bytes := min(lim.Bytes, maxPageBytes), 0
	for next < len(seqs) {
		n := min(getParallel, len(seqs)-next)
		found, err := h.getParallel(ctx, seqs[next:next+n])
		if err != nil {
			return nil, 0, err
		}
		for _, e := range found {
			full := len(events) >= lim.Events || len(events) > 0 && e != nil && bytes+e.Size() > maxBytes
			if full {
				return events, next, nil
			}
			next++
			if e != nil {
				events = append(events, *e)
				bytes += e.Size()
			}
		}
	}
	return events, next, nil
}

// getParallel returns the events with these sequences, nil for those not held.
func (h *History) getParallel(ctx context.Context, seqs []uint64) ([]*broker.Event, error) {
	found := make([]*broker.Event, len(seqs))
	errs := make([]error, len(seqs))
	var wg sync.WaitGroup
	for i, seq := range seqs {
		wg.Go(func() {
			e, ok, err := h.c.getMsg(ctx, h.stream, msgGetRequest{Seq: seq})
			if errs[i] = err; ok {
				found[i] = &e
			}
		})
	}
	wg.Wait()
	return found, errors.Join(errs...)
}
