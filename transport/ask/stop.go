package ask

import (
	"context"
	"fmt"
	"time"
)

// Stop has the worker of an answer stop. Where it does not say a last word in time, one
// is said for it. ended reports that there was nothing left to stop.
func (d *Desk) Stop(ctx context.Context, a Answer) (ended bool, err error) {
	newest, err := d.newest(ctx, a.Subject)
	if err != nil {
		return false, fmt.Errorf("stop answer: %w", err)
	}
	if newest.End || newest.ID.Seq == 0 {
		return true, nil
	}
	d.mu.Lock()
	if w := d.lookLocked(a.Subject, a.ID); w != nil && w.stopBy.IsZero() {
		w.stopBy = time.Now().Add(d.opts.StopTimeout)
	}
	d.mu.Unlock()
	d.cancel(ctx, a.ID)
	return false, nil
}

// cancel tells a worker to stop. Whether it has heard matters little: see Options.StopTimeout.
func (d *Desk) cancel(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, _ = d.opts.Conn.RequestWithContext(ctx, cancelSubject(id), nil)
}

// readersQuestion is what the gateways ask each other: do you have readers of this answer?
const readersQuestion = "readers"

// answerReaders answers another gateway: with the subject itself where there are, or have
// been within [Options.Abandoned].
func (d *Desk) answerReaders(subject []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.answers[string(subject)]
	if w != nil && (w.readers > 0 || time.Since(w.left) < d.opts.Abandoned) {
		return subject
	}
	return nil
}

// abandon stops an answer that nobody reads, on any gateway. Where not all have answered
// it is looked at again.
func abandon(ctx context.Context, d *Desk, subject string, seen watched) error {
	if d.readElsewhere(ctx, subject) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if w := d.answers[subject]; w != nil {
			w.left = time.Now()
		}
		return nil
	}
	d.mu.Lock()
	w := d.answers[subject]
	stop := w != nil && w.readers == 0 && w.state == open
	if stop {
		w.stopBy = time.Now().Add(d.opts.StopTimeout)
	}
	d.mu.Unlock()
	if stop {
		d.cancel(ctx, seen.id)
	}
	return nil
}

// readElsewhere reports whether another gateway has readers of the answer, or may have.
func (d *Desk) readElsewhere(ctx context.Context, subject string) bool {
	if d.opts.Peers == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answers, missing, err := d.opts.Peers.Ask(ctx, readersQuestion, []byte(subject))
	if err != nil || len(missing) > 0 {
		return true
	}
	for _, a := range answers {
		if len(a.Body) > 0 {
			return true
		}
	}
	return false
}
