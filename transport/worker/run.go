package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/transport/tracing"
)

// lastWord is how long handlers and what they have said last have, once the grace is
// over, until Run returns without them.
const lastWord = 5 * time.Second

// run is one call of Run.
type run struct {
	*Worker
	handle Handler
	free   chan struct{} // has a value for each question that is being checked or answered

	// handling ends, with a cause, when handlers are to return, and sending when nothing
	// more is published.
	handling    context.Context
	endHandling context.CancelCauseFunc
	sending     context.Context
	endSending  context.CancelFunc

	mu      sync.Mutex    // guards what follows; nothing blocks while it is held
	stopped bool          // no further question is taken
	running int           // goroutines of questions
	idle    chan struct{} // closed once stopped is set and none is running
}

func newRun(w *Worker, handle Handler) *run {
	r := &run{Worker: w, handle: handle, free: make(chan struct{}, w.opt.Concurrency), idle: make(chan struct{})}
	r.handling, r.endHandling = context.WithCancelCause(context.Background())
	r.sending, r.endSending = context.WithCancel(context.Background())
	return r
}

// announceTimeout bounds each attempt to hear from NATS.
const announceTimeout = time.Second

// announce calls Ready once NATS has heard of the subscription, which it has not while it
// is away. It returns what ends that.
func (r *run) announce(ctx context.Context) (end func()) {
	if r.opt.Ready == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for ctx.Err() == nil && !r.nc.IsClosed() {
			if r.nc.FlushTimeout(announceTimeout) == nil {
				r.opt.Ready()
				return
			}
		}
	})
	return func() {
		cancel()
		waiting.Wait()
	}
}

// take is called with each question, one after the other.
func (r *run) take(m *nats.Msg) {
	select {
	case r.free <- struct{}{}:
	default:
		r.refuse(m, Refuse(http.StatusServiceUnavailable, "busy", "the worker has as many questions as it takes"))
		return
	}
	if !r.begin() {
		r.refuse(m, Refuse(http.StatusServiceUnavailable, "shutdown", "the worker shuts down"))
		return
	}
	go func() {
		defer r.leave()
		r.answer(m)
	}()
}

func (r *run) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.running++
	return true
}

func (r *run) leave() {
	<-r.free
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	if r.stopped && r.running == 0 {
		close(r.idle)
	}
}

// close has no further question be taken.
func (r *run) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped && r.running == 0 {
		close(r.idle)
	}
	r.stopped = true
}

// drain takes no further question but those that NATS has handed over already.
func (r *run) drain(sub *nats.Subscription) {
	drained := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(drained) })
	if err := sub.Drain(); err != nil {
		_ = sub.Unsubscribe() // the connection is closed or draining itself
		return
	}
	select {
	case <-drained:
	case <-time.After(ackTimeout): // there is no connection
		_ = sub.Unsubscribe()
	}
}

// await returns when no question is answered any more, after the grace, or when the
// connection is closed.
func (r *run) await(grace time.Duration, closed <-chan nats.Status) {
	r.close()
	select {
	case <-r.idle:
	case <-closed:
	case <-time.After(grace):
	}
}

// stop ends what is still under way.
func (r *run) stop(cause error) error {
	defer r.endSending()
	r.endHandling(cause)
	r.await(lastWord, nil)
	select {
	case <-r.idle:
		return nil
	default:
	}
	r.endSending()
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Errorf("run worker: %d handlers have not returned within %v", r.running, lastWord)
}

// answer has one question answered, from the check to the last event.
func (r *run) answer(m *nats.Msg) {
	q, err := parseQuestion(m)
	if err != nil {
		r.log.Warn("a message is no question", "subject", m.Subject, "err", err)
		r.refuse(m, Refuse(http.StatusBadRequest, "invalid", "this is no question of a gateway's: "+err.Error()))
		return
	}
	ctx, cancel := context.WithCancelCause(tracing.Extract(r.handling, m.Header))
	defer cancel(nil)
	if refusal := r.check(ctx, q); refusal != nil {
		r.refuse(m, refusal)
		return
	}
	a := r.newAnswer(ctx, cancel, m.Header)
	unsubscribe, err := r.listen(a, m.Header)
	defer unsubscribe()
	if err == nil {
		err = m.Respond(nil)
	}
	if err != nil { // the connection is closed: who asks finds it out by itself
		r.log.Warn("a question cannot be accepted", "ask_id", q.ID, "err", err)
		return
	}
	stopWaking := context.AfterFunc(ctx, a.wake)
	defer stopWaking()
	var sending sync.WaitGroup
	sending.Go(func() { a.send(r.sending, r.opt.Patience) })
	r.conclude(q, a, r.call(ctx, q, a))
	sending.Wait()
}

// check returns the refusal of a question, nil if it is accepted.
func (r *run) check(ctx context.Context, q *Question) (refusal *Refusal) {
	if r.opt.Check == nil {
		return nil
	}
	internal := Refuse(http.StatusInternalServerError, "failed", "the worker cannot check the question")
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("checking a question panicked", "ask_id", q.ID, "panic", v, "stack", string(debug.Stack()))
			refusal = internal
		}
	}()
	err := r.opt.Check(ctx, q)
	if err == nil || errors.As(err, &refusal) {
		return refusal
	}
	r.log.Error("a question cannot be checked", "ask_id", q.ID, "err", err)
	return internal
}

func (r *run) refuse(m *nats.Msg, refusal *Refusal) {
	reply, err := refusal.encode()
	if err != nil {
		r.log.Error("a refusal cannot be told as it is", "err", err)
		reply = []byte(`{"status":500,"reason":"failed","detail":"the worker refuses the question"}`)
	}
	if err := m.Respond(reply); err != nil {
		r.log.Warn("a refusal cannot be told", "err", err)
	}
}

func (r *run) newAnswer(ctx context.Context, cancel context.CancelCauseFunc, h nats.Header) *Answer {
	claim, _ := sequence(h) // it was looked at with the question
	a := &Answer{
		js:       r.js,
		subject:  h.Get(HeaderAnswer),
		claim:    claim,
		nonce:    rand.Text(),
		most:     max(int(r.nc.MaxPayload())-besidePayload, besidePayload),
		buffer:   r.opt.Buffer,
		separate: r.opt.Separate,
		ctx:      ctx,
		cancel:   cancel,
	}
	a.changed.L = &a.mu
	return a
}

// listen has the gateway hear that the worker is at work, and the answer stopped. It is
// called before the question is accepted, so that who hears of that is heard here too.
func (r *run) listen(a *Answer, h nats.Header) (unsubscribe func(), err error) {
	alive, err := r.nc.Subscribe(h.Get(HeaderAlive), func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		return func() {}, fmt.Errorf("hear whether it is alive: %w", err)
	}
	stop, err := r.nc.Subscribe(h.Get(HeaderCancel), func(m *nats.Msg) {
		a.cancel(ErrStopped)
		_ = m.Respond(nil)
	})
	return func() {
		_ = alive.Unsubscribe() // which fails on a closed connection alone
		if stop != nil {
			_ = stop.Unsubscribe()
		}
	}, err
}

// call calls the handler.
func (r *run) call(ctx context.Context, q *Question, a *Answer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("a handler panicked", "ask_id", q.ID, "panic", v, "stack", string(debug.Stack()))
			err = &Failure{Reason: "failed", Detail: "the worker failed"}
		}
	}()
	return r.handle(ctx, q, a)
}

// conclude says the last word, unless the handler has.
func (r *run) conclude(q *Question, a *Answer, err error) {
	if err != nil && context.Cause(a.ctx) == nil {
		r.log.Warn("a handler failed", "ask_id", q.ID, "err", err)
	}
	if err = a.lastWord(err); err != nil && !errors.Is(err, ErrEnded) {
		r.log.Warn("an answer has no end", "ask_id", q.ID, "err", err)
	}
}
