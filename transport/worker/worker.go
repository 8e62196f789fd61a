package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// Options configures a Worker.
type Options struct {
	// Subject says which questions are taken: those of POST /v1/ask/{subject}. It may
	// have wildcards. Required.
	Subject string
	// Queue is the queue group of the workers that share the questions. Default: workers.
	Queue string
	// Concurrency is how many answers are given at the same time; questions beyond it
	// are refused with 503, as NATS does not know which member of the group is free.
	// Default: 64.
	Concurrency int
	// Check is called before a question is accepted, with a context that ends as the
	// handler's. Its error refuses the question: a *Refusal as it says, any other one
	// with 500. The gateway waits for it as long as ask-accept-timeout. Default: all
	// are accepted.
	Check func(ctx context.Context, q *Question) error
	// Ready is called once NATS knows of the worker: questions come from then on. Default:
	// nothing is.
	Ready func()
	// Grace is how long answers may go on when Run is to end. Default: 20 s.
	Grace time.Duration
	// Separate stores each Add as an event of its own. By default what was added while
	// an event was under way is one event: the same text in fewer.
	Separate bool
	// Buffer is how many bytes of an answer wait at most to be stored, while NATS is
	// slow or away, until Add and Send wait too. Default: 256 KiB.
	Buffer int
	// Patience is for how long an event is tried to be stored, until its answer is
	// given up. It must be shorter than the stream's window for duplicates (2 min by
	// default). Default: 30 s.
	Patience time.Duration
	// Logger is told what goes wrong with an answer. Default: none.
	Logger *slog.Logger
}

const (
	defaultQueue       = "workers"
	defaultConcurrency = 64
	defaultGrace       = 20 * time.Second
	defaultBuffer      = 256 << 10
	defaultPatience    = 30 * time.Second
)

// Handler answers a question. Its context ends when the answer is to stop or cannot go
// on; context.Cause says why. Returning nil finishes an answer that was not finished,
// and an error fails it: a *Failure as it says, any other one with the reason failed
// and its text. Of a stopped answer both say that it was stopped. A panic is logged
// and fails the answer.
type Handler func(ctx context.Context, q *Question, a *Answer) error

// Worker takes questions from NATS.
type Worker struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	opt Options
	log *slog.Logger
}

// New returns a worker that is connected by nc, which stays the caller's to close.
func New(nc *nats.Conn, opt Options) (*Worker, error) {
	if _, err := broker.NewFilter([]string{opt.Subject}, nil); err != nil {
		return nil, fmt.Errorf("make worker: %w", err)
	}
	if opt.Concurrency < 0 || opt.Buffer < 0 || opt.Grace < 0 || opt.Patience < 0 {
		return nil, errors.New("make worker: concurrency, buffer, grace and patience cannot be negative")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("make worker: %w", err)
	}
	opt.Queue = cmp.Or(opt.Queue, defaultQueue)
	opt.Concurrency = cmp.Or(opt.Concurrency, defaultConcurrency)
	opt.Grace = cmp.Or(opt.Grace, defaultGrace)
	opt.Buffer = cmp.Or(opt.Buffer, defaultBuffer)
	opt.Patience = cmp.Or(opt.Patience, defaultPatience)
	return &Worker{nc: nc, js: js, opt: opt, log: cmp.Or(opt.Logger, slog.New(slog.DiscardHandler))}, nil
}

// Run answers questions until ctx is done or the connection is closed. Then it takes no
// more of them, lets the answers under way go on for the grace, and ends the others. Its
// error says that the connection was closed, or that handlers have not returned.
func (w *Worker) Run(ctx context.Context, handle Handler) error {
	closed := w.nc.StatusChanged(nats.CLOSED)
	defer w.nc.RemoveStatusListener(closed)
	r := newRun(w, handle)
	sub, err := w.nc.QueueSubscribe(SubjectPrefix+w.opt.Subject, w.opt.Queue, r.take)
	if err != nil {
		return errors.Join(fmt.Errorf("run worker: %w", err), r.stop(ErrShutdown))
	}
	defer r.announce(ctx)()
	select {
	case <-ctx.Done():
	case <-closed:
		return errors.Join(fmt.Errorf("run worker: %w", nats.ErrConnectionClosed), r.stop(ErrUnavailable))
	}
	r.drain(sub)
	r.await(w.opt.Grace, closed)
	return r.stop(ErrShutdown)
}
