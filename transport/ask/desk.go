package ask

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/broker"
	"ringcast/transport/peers"
)

// Publisher stores an event after the newest one of its subject that was expected. It
// returns the event's sequence, or an error that wraps broker.ErrConflict.
type Publisher interface {
	PublishAfter(ctx context.Context, p broker.Publication, last uint64) (seq uint64, err error)
}

// Options configures a Desk. All before Peers are required; elsewhere the zero value
// stands for the default.
type Options struct {
	// Answers begins the subjects of answers, each of which has its id as one more token.
	Answers   string
	Hub       *broker.Hub
	Log       broker.Log
	History   broker.History
	Publisher Publisher
	// Conn is where workers are asked. It is not closed here.
	Conn *nats.Conn
	// Peers are the other gateways, who may have readers of an answer. Default: none.
	Peers *peers.Network

	// AcceptTimeout is how long a worker has to take a question. Default: 10 s.
	AcceptTimeout time.Duration
	// FirstTimeout is how long it has for its first event, and SilenceTimeout for each
	// one after it. Default: 60 s each.
	FirstTimeout, SilenceTimeout time.Duration
	// StopTimeout is how long it has for a last event after it was told to stop.
	// Default: 10 s.
	StopTimeout time.Duration
	// ProbeInterval is how often a worker that says nothing is asked whether it is still
	// there. Default: 5 s.
	ProbeInterval time.Duration
	// Abandoned is after which time without a reader an answer is stopped. Default: never.
	Abandoned time.Duration
	// MaxBytes bounds the data of an answer's events together. Default: 4 MiB.
	MaxBytes int64
	// Logger gets a record when answers cannot be watched. Default: slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	for d, by := range map[*time.Duration]time.Duration{
		&o.AcceptTimeout:  10 * time.Second,
		&o.FirstTimeout:   time.Minute,
		&o.SilenceTimeout: time.Minute,
		&o.StopTimeout:    10 * time.Second,
		&o.ProbeInterval:  5 * time.Second,
	} {
		if *d <= 0 {
			*d = by
		}
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 4 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// maxAnswers bounds the answers that are watched at a time, by one gateway.
const maxAnswers = 100_000

// Desk takes questions and watches over their answers. A nil one has none.
type Desk struct {
	opts   Options
	events broker.Filter // of all answers
	tally  tally

	// mu guards answers and what they have, and disowned. It is held for looking up and changing them;
	// at longest for one pass over them.
	mu      sync.Mutex
	answers map[string]*watched // by subject
	// disowned are the attempts of claims that were given up; see disown.
	disowned []string
}

// New returns a desk, which watches over answers while it runs.
func New(opts Options) (*Desk, error) {
	d := &Desk{opts: opts.withDefaults(), answers: map[string]*watched{}}
	var err error
	if d.events, err = broker.NewFilter([]string{opts.Answers + ".*"}, nil); err != nil {
		return nil, fmt.Errorf("answers: %w", err)
	}
	if opts.Peers != nil {
		opts.Peers.Handle(readersQuestion, d.answerReaders)
	}
	return d, nil
}

// Run watches over the answers until ctx is done.
func (d *Desk) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { d.follow(ctx) })
	d.watch(ctx)
	running.Wait()
}

// subject returns that of the answer with the id.
func (d *Desk) subject(id string) string { return d.opts.Answers + "." + id }

// IsAnswer reports whether the subject can be an answer's.
func (d *Desk) IsAnswer(subject string) bool {
	if d == nil {
		return false
	}
	_, ok := d.idOf(subject)
	return ok
}

// idOf returns the id of the answer that has events on the subject; ok is false where it
// is no answer's.
func (d *Desk) idOf(subject string) (id string, ok bool) {
	id, ok = strings.CutPrefix(subject, d.opts.Answers+".")
	return id, ok && ValidID(id)
}
