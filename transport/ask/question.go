package ask

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

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

// claimAttempts bounds how often a claim is tried that others have come before, or that
// may have been stored; claimPause is between the first two, and grows: in a cluster it
// takes a moment until the event that was in the way can be seen.
const (
	claimAttempts = 6
	claimPause    = 20 * time.Millisecond
)

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
	a.start = d.startOf(ctx, a)
	return a, nil
}

// claim stores the first event of an answer (A1, A2), or finds the answer that the
// question had before. Without a whole one it gives up its claim.
func (d *Desk) claim(ctx context.Context, q Question) (Answer, error) {
	a := d.newAnswer(q)
	newest := uint64(0)
	err := error(nil)
	for n := range claimAttempts {
		if err = pause(ctx, time.Duration(n)*claimPause); err != nil {
			break
		}
		if a.claim, err = d.opts.Publisher.PublishAfter(ctx, a.publication(), newest); err == nil {
			return a, d.awaitClaim(ctx, a, newest)
		}
		if !errors.Is(err, broker.ErrConflict) && !errors.Is(err, broker.ErrUnavailable) {
			break
		}
		var prior Answer
		prior, newest, err = d.prior(ctx, a)
		switch {
		case errors.Is(err, ErrUnknown):
			err = fmt.Errorf("%w: others claim it too", broker.ErrUnavailable)
			continue
		case err == nil && prior.attempt == a.attempt: // its acknowledgement was lost
			return prior, nil
		case err == nil && prior.IsTo(q):
			prior.Repeated = true
			return prior, nil
		case err == nil:
			return Answer{}, ErrOtherQuestion
		}
		break
	}
	d.disown(a)
	return Answer{}, fmt.Errorf("claim answer: %w", err)
}

// prior returns the answer that has been claimed before a, and the sequence of its newest
// event. It is ErrUnknown where there is none, or one that no worker has taken.
func (d *Desk) prior(ctx context.Context, a Answer) (prior Answer, newest uint64, err error) {
	if err := d.catchUp(ctx); err != nil {
		return Answer{}, 0, err
	}
	last, err := d.newest(ctx, a.Subject)
	if err != nil {
		return Answer{}, 0, err
	}
	if last.ID.Seq == 0 || last.End && last.Type == TypeError && wasNotTaken(last.Data) {
		return Answer{}, last.ID.Seq, ErrUnknown
	}
	prior, err = d.findClaim(ctx, a.Subject) // unknown where its beginning has left the stream
	return prior, last.ID.Seq, err
}

// awaitClaim returns once the hub has the claim of a question that is asked anew: to who
// reads before that, the answer has ended.
func (d *Desk) awaitClaim(ctx context.Context, a Answer, before uint64) error {
	if before == 0 {
		return nil
	}
	if err := d.await(ctx, a.claim); err != nil {
		d.disown(a)
		return fmt.Errorf("claim answer: %w", err)
	}
	return nil
}

// await returns once the hub has the event that the stream has stored. It gives up in time:
// the stream may be another one by now, which gets as far who knows when.
func (d *Desk) await(ctx context.Context, seq uint64) error {
	within, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	err := d.opts.Hub.Await(within, seq)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("await event %d: %w", seq, broker.ErrUnavailable)
	}
	return err
}

// catchUp returns once what is stored by now can be found where the stream is a mirror, too,
// which is behind what was published through it.
func (d *Desk) catchUp(ctx context.Context) error {
	newest, err := d.opts.History.Newest(ctx)
	if err != nil {
		return err
	}
	stream, err := d.opts.History.Bounds(ctx)
	if err != nil || newest.Seq <= stream.Head.Seq {
		return err // what is in the stream itself can be looked up there
	}
	return d.await(ctx, newest.Seq)
}

func pause(ctx context.Context, long time.Duration) error {
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newest returns the newest event of a subject, once the hub has it; the zero Event where
// there is none.
func (d *Desk) newest(ctx context.Context, subject string) (broker.Event, error) {
	id, _, ok, err := d.opts.History.LastOf(ctx, subject)
	if err != nil || !ok {
		return broker.Event{}, err
	}
	if err := d.await(ctx, id.Seq); err != nil {
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
	case failErr == nil:
	case !errors.Is(failErr, broker.ErrConflict):
		d.disown(a)
		return errors.Join(err, failErr)
	case failure.Reason == NotAccepted:
		return nil // the worker has just begun
	}
	return err
}

// maxDisowned bounds the claims that are remembered as given up.
const maxDisowned = 1000

// disown gives up a claim that may have been stored, and on which nobody is asked. Once it
// is heard it is ended, so that the question can be asked anew.
func (d *Desk) disown(a Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.answers[a.Subject]; w != nil && w.attempt == a.attempt {
		w.disowned = true
		return
	}
	if len(d.disowned) >= maxDisowned {
		d.disowned = d.disowned[1:]
	}
	d.disowned = append(d.disowned, a.attempt)
}

// disownedLocked reports whether a claim was given up before it was heard.
func (d *Desk) disownedLocked(attempt string) bool {
	i := slices.Index(d.disowned, attempt)
	if i >= 0 {
		d.disowned = slices.Delete(d.disowned, i, i+1)
	}
	return i >= 0
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
