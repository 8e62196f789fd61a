package broker

import "time"

// A subscription with Request.Conflate reads in rounds, no two of which begin within
// that interval. A round is the newest event of each subject that has had one since
// the position, in id order: so the id of every event in it is one to resume from,
// before which nothing is left out but what is outdated by something after it.
//
// Which these are the log's index knows, so a round costs as much as there are
// subjects, however many events there were, and however far the subscriber had
// fallen behind. Rounds of all subscriptions of an interval begin together, and
// those of a feed that stand at the same position share what is read.
//
// What is older than the log comes from the history, where only the events within
// one page can be conflated.

// early reports whether the next round is not due yet, and sees to it that the
// subscription is woken when it is.
func (s *Subscription) early(mark *ID) bool {
	if s.req.Conflate == 0 || len(s.snapshot) > 0 {
		return false
	}
	wait := s.due - s.hub.clock()
	if wait <= 0 {
		return false
	}
	if mark != nil {
		s.mark.CompareAndSwap(nil, mark) // while it is set, events do not wake the subscription
	}
	s.wakeIn(wait)
	return true
}

// startInterval says when the next round is due: at a multiple of the interval, so
// that all begin together. The first event after a quiet time does not wait.
func (s *Subscription) startInterval(now time.Duration) {
	every, last := s.req.Conflate, now
	if s.due > 0 && now-s.due < every {
		last = s.due // this round began late by the time it took to be woken
	}
	s.due = (last + every + every - 1) / every * every
}

// collect begins a round. ErrEvicted says that the position is older than the log.
func (s *Subscription) collect(now time.Duration) error {
	h := s.hub
	end := later(s.position, h.Head())
	seqs := h.log.Last(s.req.Filter)
	if h.log.Bounds().Floor.Seq > s.position.Seq { // after Last: what was evicted before it shows
		return ErrEvicted
	}
	s.snapshot = seqs[countUpTo(seqs, s.position.Seq):countUpTo(seqs, end.Seq)]
	s.snapshotEnd, s.round = end, true
	if len(s.snapshot) > 0 {
		s.startInterval(now)
	}
	return nil
}

// readRound returns the next page of a round; ok is false where the log has to be
// asked.
func (s *Subscription) readRound() (_ Batch, ok bool) {
	h, now := s.hub, s.hub.clock()
	slot := h.runSlot(s.feed, s.position.Seq)
	r := slot.Load()
	switch {
	case r.suits(s) && s.round && r.end == s.snapshotEnd: // another subscription is in the same round
	case r.suits(s) && !s.round && now-r.made < s.req.Conflate/2: // or has begun it just now
		s.startInterval(now)
	default:
		if !s.round && s.collect(now) != nil {
			return Batch{}, false
		}
		events, ok := h.tail.get(s.snapshot, s.req.Page)
		if !ok {
			return Batch{}, false
		}
		r = s.roundPage(events, len(events))
		r.made = now
		s.share(slot, r)
	}
	return s.takePage(r), true
}

// readRoundFromLog is readRound where the tail does not reach.
func (s *Subscription) readRoundFromLog() (Batch, error) {
	if !s.round {
		if err := s.collect(s.hub.clock()); err != nil {
			return Batch{}, err
		}
	}
	events, next, err := s.hub.log.Get(s.snapshot, s.req.Page)
	if err == nil && s.hub.log.Bounds().Floor.Seq > s.position.Seq {
		err = ErrEvicted
	}
	if err != nil {
		s.snapshot, s.round = nil, false
		return Batch{}, err
	}
	return s.takePage(s.roundPage(deliveries(events), next)), nil
}

// roundPage makes a page of the first next events of the round.
func (s *Subscription) roundPage(events []*Delivery, next int) *run {
	r := &run{after: s.position.Seq, events: events, rest: s.snapshot[next:], end: s.snapshotEnd, position: s.snapshotEnd}
	if len(r.rest) > 0 && len(events) > 0 {
		r.position = events[len(events)-1].ID
	}
	for _, d := range events {
		r.ends = r.ends || d.End
	}
	return r
}

// takePage goes on behind a page.
func (s *Subscription) takePage(r *run) Batch {
	s.snapshot, s.snapshotEnd, s.round = r.rest, r.end, len(r.rest) > 0
	s.unsure = s.unsure || r.ends
	return Batch{Events: r.events, Position: r.position, More: s.round || r.position.Seq < s.hub.tail.newest.Load(), run: r}
}

// newestOfEach leaves the newest event of each subject.
func newestOfEach(events []Event) []Event {
	newest := make(map[string]uint64, len(events))
	for i := range events {
		newest[events[i].Subject] = events[i].ID.Seq
	}
	kept := events[:0]
	for i := range events {
		if newest[events[i].Subject] == events[i].ID.Seq {
			kept = append(kept, events[i])
		}
	}
	return kept
}
