//go:build linux

package faults

import (
	"context"
	"fmt"
	"time"
)

// recoverTimeout is how long after a fault clients may lack events.
const recoverTimeout = 90 * time.Second

// recover has every publisher publish, and waits until all were acknowledged and every
// client has what was then the newest event of its subjects. It returns how long after
// since that was.
func (r *run) recover(ctx context.Context, since time.Time) (time.Duration, bool) {
	r.bursts.Wait()
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	for _, p := range r.steady {
		select {
		case p.kick <- struct{}{}:
		default: // it was before
		}
	}
	var newest map[string]uint64
	err := poll(ctx, recoverTimeout, func() bool {
		if newest == nil {
			newest = r.newestSince(since)
		}
		return newest != nil && r.level(newest)
	})
	return time.Since(since), err == nil
}

// newestSince returns the sequence of each subject's newest event, nil while one has
// none that is later than since.
func (r *run) newestSince(since time.Time) map[string]uint64 {
	newest := make(map[string]uint64, len(r.subjects))
	for _, s := range r.subjects {
		seq, ok := r.ledger.newestSince(s, since)
		if !ok {
			return nil
		}
		newest[s] = seq
	}
	for _, s := range burstNames() {
		_, newest[s] = r.ledger.newest(s)
	}
	return newest
}

// level reports whether every client has been served up to there.
func (r *run) level(newest map[string]uint64) bool {
	for _, c := range r.clients {
		if !isLevel(c, newest) {
			return false
		}
	}
	return true
}

func isLevel(c *client, newest map[string]uint64) bool {
	at := c.checker.position()
	for _, s := range c.checker.follows {
		if newest[s] > at {
			return false
		}
	}
	return true
}

// newestOf returns the greatest sequence acknowledged on any of the subjects.
func (r *run) newestOf(subjects []string) (newest uint64) {
	for _, s := range subjects {
		_, seq := r.ledger.newest(s)
		newest = max(newest, seq)
	}
	return newest
}

// laggards names some clients that are not level.
func (r *run) laggards() string {
	newest := map[string]uint64{}
	for _, s := range append(burstNames(), r.subjects...) {
		_, newest[s] = r.ledger.newest(s)
	}
	text, n := "", 0
	for _, c := range r.clients {
		if !isLevel(c, newest) {
			if n++; n <= 5 {
				text += fmt.Sprintf("; %s is at %d", c.checker.name, c.checker.position())
			}
		}
	}
	return fmt.Sprintf("%d of %d clients lag%s", n, len(r.clients), text)
}
