package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ringcast/broker"
)

const (
	// maxBytes bounds the identities of one event. The rest comes with the next.
	maxBytes = 32 << 10
	// maxEvents bounds the events of one pass, and tellers how many of them are on their
	// way at a time.
	maxEvents = 1000
	tellers   = 32
)

// tell publishes that the pairs have come or left, by subject. The error is one of those
// that it met.
func (t *Tracker) tell(ctx context.Context, typ string, pairs []pair) error {
	identities := map[string][]string{}
	for _, p := range pairs {
		identities[p.subject] = append(identities[p.subject], p.identity)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex // guards failed
		failed  error
	)
	slots := make(chan struct{}, tellers)
	events := 0
	for subject, list := range identities {
		if events++; events > maxEvents || ctx.Err() != nil {
			break // the rest is found again by the next pass
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if err := t.tellOne(ctx, typ, subject, list); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	running.Wait()
	return failed
}

// tellOne publishes one event after those from which it follows (P1).
func (t *Tracker) tellOne(ctx context.Context, typ, subject string, identities []string) error {
	data, at := t.event(typ, subject, identities)
	if data == nil {
		return nil
	}
	p := broker.Publication{Subject: broker.PresenceSubject(subject), Type: typ, Data: data}
	last, _, _ := t.opts.Log.LastOf(p.Subject)
	if last.Seq > at.Seq {
		return nil // there is one that was not taken in yet: the next time
	}
	seq, err := t.opts.Publisher.PublishAfter(ctx, p, last.Seq)
	if errors.Is(err, broker.ErrConflict) {
		// There is a newer one; or the newest one has left the log, or the stream.
		old, _, ok, lookErr := t.opts.History.LastOf(ctx, p.Subject)
		if lookErr != nil || ok && old.Seq > at.Seq || old.Seq == last.Seq {
			return lookErr
		}
		seq, err = t.opts.Publisher.PublishAfter(ctx, p, old.Seq)
	}
	switch {
	case errors.Is(err, broker.ErrConflict):
		return nil // another gateway was first
	case err != nil:
		return fmt.Errorf("tell of %q: %w", subject, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = max(t.told, seq)
	return nil
}

// event returns an event of what is still so, as far as it fits, and the position from
// which it follows; nil where nothing is.
func (t *Tracker) event(typ, subject string, identities []string) (data []byte, at broker.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := body{Subject: subject}
	size, count := 0, len(t.bySubject[subject])
	slices.Sort(identities)
	for _, identity := range slices.Compact(identities) {
		m, present := t.has(pair{subject, identity})
		h := t.here[pair{subject, identity}]
		mine := h != nil && h.streams > 0
		switch {
		case size > maxBytes:
		case typ == TypeJoin && mine && (!present || m.seq <= t.renewUpTo):
			if !present {
				count++
			}
			b.Identities = append(b.Identities, identity)
			size += len(identity)
		case typ == TypeLeave && !mine && present:
			count--
			b.Identities = append(b.Identities, identity)
			size += len(identity)
		}
	}
	if len(b.Identities) == 0 {
		return nil, broker.ID{}
	}
	b.Count = count
	data, err := json.Marshal(b)
	if err != nil { // which texts and a number cannot cause
		return nil, broker.ID{}
	}
	return data, t.at
}
