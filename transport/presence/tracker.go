package presence

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"ringcast/broker"
	"ringcast/transport/peers"
)

// The types of the events.
const (
	TypeJoin  = "join"
	TypeLeave = "leave"
)

// MaxIdentity bounds an identity in bytes. A longer one is nobody, as one that is not
// UTF-8 is.
const MaxIdentity = 256

// Publisher stores an event after the newest one of its subject that was expected. It
// returns the event's sequence, or an error that wraps broker.ErrConflict.
type Publisher interface {
	PublishAfter(ctx context.Context, p broker.Publication, last uint64) (seq uint64, err error)
}

// Options configures a Tracker. All but the last three are required.
type Options struct {
	// Patterns are the subjects whose presence is told.
	Patterns  []string
	Hub       *broker.Hub
	Log       broker.Log
	History   broker.History
	Publisher Publisher
	Peers     *peers.Network
	// Grace is how long one may be away without having left: as long as it takes to
	// reload a page, or to come back after a cut. Default: 10 s.
	Grace time.Duration
	// Interval is how often there is an event on a subject at most, by one gateway.
	// Default: 500 ms.
	Interval time.Duration
	// Logger gets a record when nothing can be told. Default: slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Interval <= 0 {
		o.Interval = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// pair is an identity on a subject.
type pair struct{ subject, identity string }

// hold is what this gateway has of a pair.
type hold struct {
	streams int
	lost    time.Time // when streams is 0: since when
}

// Tracker keeps and tells who is on a subject. A nil one does nothing.
type Tracker struct {
	opts     Options
	patterns broker.Filter // of the subjects
	events   broker.Filter // of the events about them

	// mu guards what follows. It is held for looking up and changing maps; at longest for
	// one pass over them.
	mu sync.Mutex
	// here are the pairs of this gateway's streams, and those lost of which it is not
	// known yet that they have left. todo are those of them that may have to be told.
	here map[pair]*hold
	todo map[pair]struct{}
	rooms
	// told is the newest event that this gateway has published. Until rooms has it,
	// nothing else is decided.
	told uint64
	// renewUpTo: those whose event is not above are told again (P4).
	renewUpTo uint64
}

// New returns a tracker, which takes part once it runs.
func New(opts Options) (*Tracker, error) {
	t := &Tracker{opts: opts.withDefaults(), here: map[pair]*hold{}, todo: map[pair]struct{}{}}
	var err error
	if t.patterns, err = broker.NewFilter(opts.Patterns, nil); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	var events []string
	for _, p := range t.patterns.Subjects() {
		events = append(events, broker.PresenceSubject(p))
	}
	if t.events, err = broker.NewFilter(events, nil); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	t.opts.Peers.Handle(question, t.answer)
	return t, nil
}

// Run keeps up with the events and tells, until ctx is done.
func (t *Tracker) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { t.follow(ctx) })
	d := decider{Tracker: t}
	ticker := time.NewTicker(t.opts.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			d.pass(ctx)
		case <-ctx.Done():
		}
	}
	running.Wait()
}

// Tracks reports whether the presence of the literal subject is told.
func (t *Tracker) Tracks(subject string) bool {
	return t != nil && !broker.NamesPresence(subject) && broker.IsLiteral(subject) && t.patterns.MatchesSubject(subject)
}

// Enter notes that a stream with the filter was opened for the identity; empty is
// nobody. Leave is to be called with the same when it has ended.
func (t *Tracker) Enter(identity string, f broker.Filter) {
	t.each(identity, f, func(p pair) {
		h := t.here[p]
		if h == nil {
			h = &hold{}
			p = pair{strings.Clone(p.subject), strings.Clone(p.identity)} // not a whole request
			t.here[p] = h
			t.todo[p] = struct{}{}
		}
		h.streams++
	})
}

// Leave takes back an Enter.
func (t *Tracker) Leave(identity string, f broker.Filter) {
	now := time.Now()
	t.each(identity, f, func(p pair) {
		if h := t.here[p]; h != nil {
			if h.streams--; h.streams == 0 {
				h.lost = now
				t.todo[p] = struct{}{}
			}
		}
	})
}

// each calls change, under the lock, with what a stream is on.
func (t *Tracker) each(identity string, f broker.Filter, change func(pair)) {
	if t == nil || identity == "" || len(identity) > MaxIdentity || !utf8.ValidString(identity) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, subject := range f.Subjects() {
		if t.Tracks(subject) {
			change(pair{subject, identity})
		}
	}
}
