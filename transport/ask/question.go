package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"

	"ringcast/broker"
	"ringcast/transport/tracing"
	"ringcast/transport/worker"
)

// Question is what a client asks.
type Question struct {
	Subject string // literal
	Body    []byte // JSON
	// Identity is the sub of who asks, empty without a token.
	Identity string
	// Key makes it the same question, and has it answered once, whenever it is asked
	// with the same key by the same. Empty: none.
	Key string
}

// claimAttempts bounds how often a claim is tried that others have come before.
const claimAttempts = 5

// Ask hands the question to a worker and returns its answer, which is yet to come. Where
// no worker takes it the error is a *Failure. Others: ErrOtherQuestion, and those of
// Publisher. When ctx ends after the claim, the question is asked all the same.
func (d *Desk) Ask(ctx context.Context, q Question) (Answer, error) {
	if d.full() {
		return Answer{}, fmt.Errorf("ask: %w: %d answers are under way", broker.ErrOverloaded, maxAnswers)
	}
	a, err := d.claim(ctx, q)
	if err == nil && !a.Repeated {
		err = d.handOver(context.WithoutCancel(ctx), a, q)
	}
	if err == nil && !a.Repeated {
		d.noteAccepted(a)
	}
	d.tally.question(a, err)
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// claim stores the first event of an answer (A1, A2), or finds the answer that the
// question had before.
func (d *Desk) claim(ctx context.Context, q Question) (Answer, error) {
	a := d.newAnswer(q)
	newest := uint64(0)
	for range claimAttempts {
		seq, err := d.opts.Publisher.PublishAfter(ctx, a.publication(), newest)
		if err == nil {
			a.claim = seq
			return a, nil
		}
		if !errors.Is(err, broker.ErrConflict) {
			d.disown(a.attempt)
			return Answer{}, fmt.Errorf("claim answer: %w", err)
		}
		last, err := d.newest(ctx, a.Subject)
		if err != nil {
			return Answer{}, fmt.Errorf("claim answer: %w", err)
		}
		newest = last.ID.Seq
		if last.End && last.Type == TypeError && wasNotTaken(last.Data) {
			continue
		}
		prior, err := d.findClaim(ctx, a.Subject)
		switch {
		case errors.Is(err, ErrUnknown): // its beginning has left the stream
			continue
		case err != nil:
			return Answer{}, err
		case !prior.IsTo(q):
			return Answer{}, ErrOtherQuestion
		}
		prior.Repeated = true
		return prior, nil
	}
	return Answer{}, fmt.Errorf("claim answer: %w: others claim it too", broker.ErrUnavailable)
}

// newest returns the newest event of a subject, once the hub has it; the zero Event where
// there is none.
func (d *Desk) newest(ctx context.Context, subject string) (broker.Event, error) {
	id, _, ok, err := d.opts.History.LastOf(ctx, subject)
	if err != nil || !ok {
		return broker.Event{}, err
	}
	if err := d.opts.Hub.Await(ctx, id.Seq); err != nil {
		return broker.Event{}, err
	}
	events, _, err := d.opts.History.Get(ctx, []uint64{id.Seq}, broker.Limits{Events: 1, Bytes: 1})
	if err != nil || len(events) == 0 {
		return broker.Event{}, err
	}
	return events[0], nil
}

// handOver has a worker take the question. Otherwise the answer ends here.
func (d *Desk) handOver(ctx context.Context, a Answer, q Question) error {
	err := d.request(ctx, a, q)
	if err == nil {
		return nil
	}
	failure := (*Failure)(nil)
	if !errors.As(err, &failure) {
		failure = newFailure(NotAccepted) // for those who read the answer; who asks is told more
	}
	failErr := d.fail(ctx, a.Subject, a.claim, failure)
	switch {
	case !errors.Is(failErr, broker.ErrConflict):
		return errors.Join(err, failErr)
	case failure.Reason == NotAccepted:
		return nil // the worker has just begun
	}
	return err
}

// maxDisowned bounds the claims that are remembered as given up.
const maxDisowned = 1000

// disown remembers a claim that may have been stored although no acknowledgement has come:
// nobody is asked on it. When it is heard it is ended, so that the question can be asked
// anew.
func (d *Desk) disown(attempt string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.disowned) >= maxDisowned {
		d.disowned = d.disowned[1:]
	}
	d.disowned = append(d.disowned, attempt)
}

// disownedLocked reports whether a claim was given up here, and forgets it.
func (d *Desk) disownedLocked(e *broker.Event) bool {
	var o opening
	if len(d.disowned) == 0 || json.Unmarshal(e.Data, &o) != nil {
		return false
	}
	i := slices.Index(d.disowned, o.Attempt)
	if i < 0 {
		return false
	}
	d.disowned = slices.Delete(d.disowned, i, i+1)
	return true
}

func (d *Desk) request(ctx context.Context, a Answer, q Question) error {
	msg := &nats.Msg{Subject: worker.SubjectPrefix + q.Subject, Data: q.Body, Header: nats.Header{
		worker.HeaderID:       {a.ID},
		worker.HeaderAnswer:   {a.Subject},
		worker.HeaderSequence: {strconv.FormatUint(a.claim, 10)},
		worker.HeaderCancel:   {cancelSubject(a.ID)},
		worker.HeaderAlive:    {aliveSubject(a.ID)},
	}}
	if q.Identity != "" {
		msg.Header[worker.HeaderIdentity] = []string{worker.EscapeIdentity(q.Identity)}
	}
	tracing.Inject(ctx, msg)
	ctx, cancel := context.WithTimeout(ctx, d.opts.AcceptTimeout)
	defer cancel()
	reply, err := d.opts.Conn.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return newFailure(NoWorker)
	case errors.Is(err, context.DeadlineExceeded):
		return newFailure(NotAccepted)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("ask worker: %w", broker.ErrTooLarge)
	case err != nil:
		return fmt.Errorf("ask worker: %w: %w", broker.ErrUnavailable, err)
	}
	return readReply(reply.Data)
}

// What lies under this prefix is between gateways and workers.
const controlPrefix = "_ask."

func cancelSubject(id string) string { return controlPrefix + id + ".cancel" }
func aliveSubject(id string) string  { return controlPrefix + id + ".alive" }
