package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server/gsl"
)

// HubOptions configures a Hub. The zero value works.
type HubOptions struct {
	// Page bounds what one Next returns, and so what one subscriber makes the hub
	// hold in memory. Default: 512 events, 1 MiB.
	Page Limits
	// Tail bounds the newest events kept in memory, where subscribers that keep up
	// read them. What encodings of them subscribers ask for comes on top of Bytes.
	// Default: 8,192 events, 8 MiB.
	Tail Limits
	// Retry is how long a subscription waits before it asks an unavailable
	// History again. Default: 1 s.
	Retry time.Duration
	// MaxLast bounds the subjects in one FromLast snapshot (8 bytes each).
	// Default: 50,000.
	MaxLast int
}

func (o HubOptions) withDefaults() HubOptions {
	if o.Page.Events <= 0 {
		o.Page.Events = 512
	}
	if o.Page.Bytes <= 0 {
		o.Page.Bytes = 1 << 20
	}
	if o.Tail.Events <= 0 {
		o.Tail.Events = 8192
	}
	if o.Tail.Bytes <= 0 {
		o.Tail.Bytes = 8 << 20
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	if o.MaxLast <= 0 {
		o.MaxLast = 50_000
	}
	return o
}

// Hub lets subscriptions follow a log. It is the Sink of the source that fills
// the log, and starts no goroutine of its own.
//
// Invariants, on which the reading side in subscription.go relies:
//
//	H1  The log takes in, and then the tail, before anybody is marked, and
//	    before head moves: what a mark or head names can be read.
//	H2  The subscriptions that a batch matches are marked, with the position before
//	    the first event that matches, and then head moves; a subscription looks at
//	    head first and then takes its mark. So one that has read everything and is
//	    not marked has missed nothing up to head, and a marked one nothing up to its
//	    mark.
//	H3  epoch moves before log and tail are reset, and again together with head after
//	    it; in between it is odd, and nobody is placed or reads. A page that was read
//	    while epoch stood still is of one and the same stream.
type Hub struct {
	log     Log
	tail    *tail
	history History
	opts    HubOptions
	// born is where the clock of conflation begins.
	born time.Time

	// epoch counts resets of the log (H3).
	epoch atomic.Uint64
	// heard is closed by the first Upstream.
	heard     chan struct{}
	heardOnce sync.Once

	// head is the newest event that subscriptions may have; stored under mu.
	head atomic.Pointer[ID]
	// runs are pieces of the tail that were read lately; see run.
	runs [runSlots]atomic.Pointer[run]

	// mu guards what follows. It is held for the match pass and for copying a few
	// words, never over disk, network or a blocking send.
	mu       sync.Mutex
	upstream ID
	subs     int
	// feeds are the subscriptions by filter, and index the feeds by subject.
	feeds map[string]*feed
	index *gsl.GenericSublist[*feed]
	// unsettled are the subscriptions that wait for head to reach their position.
	unsettled map[*Subscription]struct{}
	awaiting  map[*await]struct{}
	// appends counts batches, so that each marks a feed once; feedCount the feeds
	// there ever were.
	appends, feedCount uint64
}

// await is one caller of Await: reached is closed by Append once head is at seq
// or beyond.
type await struct {
	seq     uint64
	reached chan struct{}
}

var _ Sink = (*Hub)(nil)

// NewHub returns a hub that reads the newest events from log and older ones from
// history.
func NewHub(log Log, history History, opts HubOptions) *Hub {
	opts = opts.withDefaults()
	h := &Hub{
		log:       log,
		tail:      &tail{most: opts.Tail},
		history:   history,
		opts:      opts,
		born:      time.Now(),
		heard:     make(chan struct{}),
		feeds:     map[string]*feed{},
		index:     gsl.NewSublist[*feed](),
		unsettled: map[*Subscription]struct{}{},
		awaiting:  map[*await]struct{}{},
	}
	head := log.Bounds().Head
	h.tail.reset(head)
	h.head.Store(&head)
	return h
}

// Head implements Sink.
func (h *Hub) Head() ID { return *h.head.Load() }

// Append implements Sink.
func (h *Hub) Append(events []Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := h.log.Append(events); err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	if h.tail.append(events) {
		h.forgetRuns()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.markMatchesLocked(events)
	head := events[len(events)-1].ID
	h.head.Store(&head)
	for s := range h.unsettled {
		s.wake()
	}
	clear(h.unsettled)
	for a := range h.awaiting {
		if a.seq <= head.Seq {
			close(a.reached) // the only place
			delete(h.awaiting, a)
		}
	}
	return nil
}

// markMatchesLocked marks every subscription that one of the events may match. It
// looks at subjects only: a subscription with a type filter is woken for nothing now
// and then, and has its position moved on.
func (h *Hub) markMatchesLocked(events []Event) {
	h.appends++
	before := h.Head()
	var shared *ID // before, for all that one event marks
	mark := func(f *feed) {
		if shared == nil {
			at := before // a copy: only what marks anybody goes to the heap
			shared = &at
		}
		f.markLocked(h.appends, shared)
	}
	for i := range events {
		if e := &events[i]; i == 0 || e.Subject != events[i-1].Subject { // bursts on one subject are common
			shared = nil
			h.index.Match(e.Subject, mark)
		}
		before = events[i].ID
	}
}

// Reset implements Sink.
func (h *Hub) Reset(at ID) error {
	h.epoch.Add(1)
	err := h.log.Reset(at)
	head := h.log.Bounds().Head
	h.tail.reset(head)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.head.Store(&head)
	h.upstream = head
	h.epoch.Add(1)
	h.forgetRuns()
	h.appends++
	for _, f := range h.feeds {
		f.markLocked(h.appends, &ID{})
	}
	if err != nil {
		return fmt.Errorf("reset log: %w", err)
	}
	return nil
}

// Upstream implements Sink.
func (h *Hub) Upstream(head ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.upstream = head
	h.heardOnce.Do(func() { close(h.heard) })
}

// Heard is closed once the source has told for the first time what the stream
// holds. A subscription from now that is opened earlier starts at the log's head,
// and gets as new what was published while the log was not fed.
func (h *Hub) Heard() <-chan struct{} { return h.heard }

// now returns the position of a subscription that starts with the next event.
// While the log is catching up, that is the stream's head, not the log's: what
// was published long ago must not come as new.
func (h *Hub) now() ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return later(h.Head(), h.upstream)
}

// later returns the one with the greater sequence, a where they are equal.
func later(a, b ID) ID {
	if b.Seq > a.Seq {
		return b
	}
	return a
}

// Await returns once the log has reached seq, or with the context's error. A
// publisher awaits its own event to learn its id.
func (h *Hub) Await(ctx context.Context, seq uint64) error {
	a := &await{seq: seq, reached: make(chan struct{})}
	h.mu.Lock()
	if h.Head().Seq >= seq {
		h.mu.Unlock()
		return nil
	}
	h.awaiting[a] = struct{}{}
	h.mu.Unlock()

	select {
	case <-a.reached:
		return nil
	case <-ctx.Done():
		h.mu.Lock()
		delete(h.awaiting, a)
		h.mu.Unlock()
		return ctx.Err()
	}
}

// Lookup returns the id of the event with that sequence: from the log, and from
// the history where the log does not hold it. Where neither does, or the history
// cannot be asked, it is the bare sequence.
func (h *Hub) Lookup(ctx context.Context, seq uint64) ID {
	if id, ok, err := h.log.At(seq); err == nil && ok {
		return id
	}
	if id, ok, err := h.history.At(ctx, seq); err == nil && ok {
		return id
	}
	return ID{Seq: seq, Stamp: NoStamp}
}

// clock is the time since the hub was made.
func (h *Hub) clock() time.Duration { return time.Since(h.born) }

// Intake is how much a hub has taken in since it was made: what came again after a
// reset counts again.
type Intake struct {
	Events uint64
	Bytes  uint64 // sum of Event.Size
}

// Intake returns how much was taken in. It never goes back.
func (h *Hub) Intake() Intake { return h.tail.intake() }

// Subscriptions returns how many subscriptions are open.
func (h *Hub) Subscriptions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subs
}
