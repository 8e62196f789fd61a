package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Request says what a subscription is to read and from where.
type Request struct {
	Filter Filter
	// LastEventID is the id that the subscriber saw last, as it gave it; empty for
	// a new subscriber. It wins over From.
	LastEventID string
	// From is where a new subscriber begins, and one whose id is of no use.
	From From
	// Page bounds one batch; zero values mean the hub's.
	Page Limits
}

// Batch is what a subscription has to tell its subscriber.
type Batch struct {
	// Gap, unless nil, comes before everything else in time: events are missing
	// between the last batch and the next one. Such a batch has no events.
	Gap *Gap
	// Events match the filter and follow the last batch, in id order.
	Events []*Delivery
	// Start is where a subscriber stands that has not seen the batch.
	Start ID
	// Position is where a subscriber stands that has handled it: nothing that
	// matches is missing up to there.
	Position ID
	// Snapshot reports that a FromLast snapshot begins or goes on. A subscriber
	// that resumed from Start, Gap.At or Position would lose the rest of it; the
	// ids of its events are good.
	Snapshot bool
	// More asks for another call of Next at once. Otherwise wait for Ready.
	More bool
	// Pending reports that the subscription cannot go on yet: the log has not
	// caught up with its id, or the history is needed and cannot be asked. Ready
	// tells when to try again. Start and Position mean nothing.
	Pending bool
	// Finished reports that every subject of the filter has ended and that the
	// subscriber has had it all. Nothing will come after this batch.
	Finished bool
}

// Subscription is a cursor in the log with a filter. One goroutine reads it:
//
//	for {
//		batch, err := sub.Next(ctx)
//		… hand on batch …
//		if !batch.More {
//			<-sub.Ready()
//		}
//	}
type Subscription struct {
	hub *Hub
	req Request
	// ready has room for one wake-up; more than one is as good as one. It is
	// never closed.
	ready chan struct{}

	// mark is guarded by hub.mu.
	mark mark

	// What follows belongs to the reading goroutine.

	// settled reports that position was verified, in the epoch of that number.
	settled bool
	epoch   uint64
	// placed reports that the subscriber may hold position as its last id, so that
	// it is what has to be verified in another epoch.
	placed   bool
	position ID
	// caughtUp reports that everything up to position was read, and position was
	// the log's head then.
	caughtUp bool
	// snapshot are the sequences of a FromLast snapshot that are still to be read;
	// the cursor goes on at snapshotEnd.
	snapshot    []uint64
	snapshotEnd ID
	// pasts is what the history has said of subjects of which the log holds nothing.
	pasts map[string]past
	retry *time.Timer
}

// mark tells a subscription that there is something for it.
type mark struct {
	// pending: an event that may match was appended since the last Next.
	pending bool
	// before is the position before the first such event.
	before ID
}

// Subscribe opens a subscription. The request's filter must have subjects.
// Nothing is read until the first Next. Close it when done.
func (h *Hub) Subscribe(req Request) (*Subscription, error) {
	if len(req.Filter.subjects) == 0 {
		return nil, errors.New("subscribe: the filter has no subject")
	}
	if req.Page.Events <= 0 {
		req.Page.Events = h.opts.Page.Events
	}
	if req.Page.Bytes <= 0 {
		req.Page.Bytes = h.opts.Page.Bytes
	}
	s := &Subscription{hub: h, req: req, ready: make(chan struct{}, 1)}

	h.mu.Lock()
	defer h.mu.Unlock()
	for i, subject := range req.Filter.subjects {
		if err := h.index.Insert(subject, s); err != nil {
			s.removeLocked(req.Filter.subjects[:i])
			return nil, fmt.Errorf("subscribe to %q: %w", subject, err)
		}
	}
	h.subs[s] = struct{}{}
	return s, nil
}

// Close ends the subscription. It may be called from any goroutine and more than
// once; Ready does not fire for it.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if _, open := s.hub.subs[s]; !open {
		return
	}
	delete(s.hub.subs, s)
	delete(s.hub.unsettled, s)
	s.removeLocked(s.req.Filter.subjects)
	if s.retry != nil {
		s.retry.Stop()
	}
}

func (s *Subscription) removeLocked(subjects []string) {
	for _, subject := range subjects {
		_ = s.hub.index.Remove(subject, s) // fails only for what was not inserted
	}
}

// Ready receives when Next may have something new. A receive may be spurious.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *Subscription) markLocked(before ID) {
	if !s.mark.pending {
		s.mark = mark{pending: true, before: before}
		s.wake()
	}
}

// Next returns what has come since the last call. It does not wait for events:
// without any, the batch has none, and its Position has moved on with the log.
// It may read the disk, and ask the history where the position is older than the
// log. Errors: the context's; ErrTooMany for a snapshot beyond its bound; a
// failure of the log that the history cannot make good.
func (s *Subscription) Next(ctx context.Context) (Batch, error) {
	for {
		mark, head, epoch := s.take()
		if epoch%2 == 1 { // H3: Reset wakes everybody when it is done
			return Batch{Pending: true}, nil
		}
		if !s.settled || s.epoch != epoch {
			if batch, settled, err := s.settle(ctx, epoch); err != nil || !settled {
				return batch, err
			}
		}
		if s.caughtUp && !mark.pending {
			start := s.position
			s.position = later(s.position, head) // H2
			return Batch{Start: start, Position: s.position}, nil
		}
		if s.caughtUp {
			s.position = later(s.position, mark.before) // H2
		}
		batch, err := s.read(ctx)
		switch {
		case s.hub.epoch.Load() != s.epoch: // H3: the page may mix two streams
			s.settled = false
			continue
		case errors.Is(err, ErrUnavailable):
			s.retryLater()
			return Batch{Pending: true}, nil
		case err != nil:
			return Batch{}, err
		}
		return s.accept(ctx, batch), nil
	}
}

// take reads and clears the mark.
func (s *Subscription) take() (m mark, head ID, epoch uint64) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	m, s.mark.pending = s.mark, false
	return m, s.hub.head, s.hub.epoch.Load()
}

// accept moves the cursor on behind a batch that was read.
func (s *Subscription) accept(ctx context.Context, batch Batch) Batch {
	batch.Start, s.position = s.position, batch.Position
	s.placed = s.placed || len(s.snapshot) == 0 || len(batch.Events) > 0
	s.caughtUp = !batch.More
	if s.caughtUp {
		batch.Finished = s.finished(ctx)
	}
	return batch
}

// retryLater wakes the subscription when it is time to ask the history again.
func (s *Subscription) retryLater() {
	s.caughtUp = false // so that the next call reads, pending or not
	if s.retry == nil {
		s.retry = time.AfterFunc(s.hub.opts.Retry, s.wake)
		return
	}
	s.retry.Reset(s.hub.opts.Retry)
}

// read returns the events after the position, from wherever they are held.
func (s *Subscription) read(ctx context.Context) (Batch, error) {
	if len(s.snapshot) > 0 {
		return s.readSnapshot(ctx)
	}
	if events, position, more, ok := s.hub.tail.read(s.position, s.req.Filter, s.req.Page); ok {
		return Batch{Events: events, Position: position, More: more}, nil
	}
	page, err := s.hub.log.Read(s.position.Seq, s.req.Filter, s.req.Page)
	switch {
	case errors.Is(err, ErrEvicted):
		return s.readHistory(ctx, s.hub.log.Bounds().Floor)
	case errors.Is(err, ErrCorrupt):
		return s.readHistory(ctx, s.hub.log.Bounds().Head)
	case err != nil:
		return Batch{}, fmt.Errorf("read log: %w", err)
	}
	if page.Position.Seq == s.position.Seq {
		page.Position = s.position // it may lie beyond the log's head, and have a stamp
	}
	return Batch{Events: deliveries(page.Events), Position: page.Position, More: page.More}, nil
}

// readHistory returns the events after the position up to upTo, where the log
// takes over, or the gap where the history has lost them too.
func (s *Subscription) readHistory(ctx context.Context, upTo ID) (Batch, error) {
	if upTo.Seq <= s.position.Seq { // a corrupt log: wait for the source to fill it again
		return Batch{}, ErrUnavailable
	}
	page, floor, err := s.hub.history.Read(ctx, s.position.Seq, upTo.Seq, s.req.Filter, s.req.Page)
	if err != nil {
		return Batch{}, fmt.Errorf("read history: %w", err)
	}
	if err := s.verifyHeld(ctx, s.position); err != nil {
		return Batch{}, err
	}
	if floor.Seq > s.position.Seq {
		if floor.Seq >= upTo.Seq { // the log holds more than the stream
			floor = upTo
		}
		gap := s.hub.gap(ctx, GapExpired, s.position.String(), floor)
		return Batch{Gap: gap, Position: floor, More: true}, nil
	}
	if page.Position.Seq == upTo.Seq {
		if err := s.verifyHeld(ctx, upTo); err != nil {
			return Batch{}, err
		}
		page.Position = upTo // it has a stamp
	}
	return Batch{Events: deliveries(page.Events), Position: page.Position, More: true}, nil
}

// verifyHeld makes sure that the stream from which a page was just read has the
// event id, or had it: of the position, that the page follows it, and of the log's
// floor, that the log follows the page. Where the stream was replaced and the source
// has not noticed yet, the subscription waits until it has: going on, it would mix
// the two, and with an id of the new one never be told.
func (s *Subscription) verifyHeld(ctx context.Context, id ID) error {
	stored, ok, err := s.hub.history.At(ctx, id.Seq)
	if err == nil && !ok {
		var stream Bounds
		stream, err = s.hub.history.Bounds(ctx)
		stored, ok = id, stream.Head.Seq >= id.Seq
	}
	switch {
	case err != nil:
		return fmt.Errorf("verify %s: %w", id, err)
	case !ok, !stored.Same(id):
		s.settled = false
		return fmt.Errorf("verify %s: %w: the stream was replaced", id, ErrUnavailable)
	}
	return nil
}

// readSnapshot returns the next part of a FromLast snapshot: from the history what
// the log has evicted, which comes first, then from the log. An event that is
// nowhere any more has been deleted.
func (s *Subscription) readSnapshot(ctx context.Context) (Batch, error) {
	old := s.snapshot[:countUpTo(s.snapshot, s.hub.log.Bounds().Floor.Seq)]
	var (
		events []Event
		next   int
		err    error
	)
	if len(old) == 0 {
		events, next, err = s.hub.log.Get(s.snapshot, s.req.Page)
		if s.hub.log.Bounds().Floor.Seq >= s.snapshot[0] { // evicted meanwhile
			return Batch{Position: s.position, Snapshot: true, More: true}, nil
		}
	}
	if len(old) > 0 || errors.Is(err, ErrCorrupt) {
		if len(old) == 0 {
			old = s.snapshot
		}
		events, next, err = s.hub.history.Get(ctx, old, s.req.Page)
	}
	if err != nil {
		return Batch{}, fmt.Errorf("read snapshot: %w", err)
	}

	batch := Batch{Events: deliveries(matchingType(events, s.req.Filter)), Position: s.position, Snapshot: true, More: true}
	if len(batch.Events) > 0 {
		batch.Position = batch.Events[len(batch.Events)-1].ID
	}
	if s.snapshot = s.snapshot[next:]; len(s.snapshot) == 0 {
		s.snapshot, batch.Position = nil, s.snapshotEnd
	}
	return batch, nil
}

// countUpTo returns how many of the ascending sequences are not above most.
func countUpTo(seqs []uint64, most uint64) int {
	n, _ := slices.BinarySearch(seqs, most+1)
	return n
}

func matchingType(events []Event, f Filter) []Event {
	return slices.DeleteFunc(events, func(e Event) bool { return !f.MatchesType(e.Type) })
}
