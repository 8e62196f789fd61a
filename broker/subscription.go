package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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
	// Conflate, unless zero, is the interval in which the subscriber gets at most
	// one event a subject, the newest. The filter must not select by type then.
	Conflate time.Duration
	// Waker is told instead of the channel Ready, which is nil then. A subscriber
	// that serves many subscriptions from one goroutine needs no other goroutine.
	Waker Waker
}

// Waker is told that a subscription may have something new. Wake may be called from
// any goroutine and with the hub's lock held: it must not block, nor call the hub or
// the subscription.
type Waker interface{ Wake() }

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

	run *run // which the batch was made of, where it was
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
	// never closed, and nil where there is a Waker.
	ready chan struct{}
	// mark, unless nil, is the position before the first event that may match of
	// those appended since the last Next (H2).
	mark atomic.Pointer[ID]
	// progress is the sequence of position, twice, and one more where caughtUp: as of
	// the last Next, for Lag.
	progress atomic.Uint64

	feed *feed
	// at is the place in feed.subs; it and closed are guarded by hub.mu.
	at     int
	closed bool

	// What follows belongs to the reading goroutine.

	// settled reports that position was verified, in the epoch of that number.
	settled bool
	// placed reports that the subscriber may hold position as its last id, so that
	// it is what has to be verified in another epoch.
	placed bool
	// caughtUp reports that everything up to position was read, and position was
	// the log's head then.
	caughtUp bool
	// unsure reports that the subscription may be finished and that Next has to look.
	unsure   bool
	epoch    uint64
	position ID
	// snapshot are the sequences of a FromLast snapshot that are still to be read;
	// the cursor goes on at snapshotEnd.
	snapshot    []uint64
	snapshotEnd ID
	// round reports that snapshot is the rest of a round of conflation, and due when
	// the next may begin, by the hub's clock.
	round bool
	due   time.Duration
	// pasts is what the history has said of subjects of which the log holds nothing.
	pasts map[string]past
	// timer wakes the subscription; guarded by hub.mu.
	timer *time.Timer
}

// Subscribe opens a subscription. The request's filter must have subjects.
// Nothing is read until the first Next. Close it when done.
func (h *Hub) Subscribe(req Request) (*Subscription, error) {
	if len(req.Filter.subjects) == 0 {
		return nil, errors.New("subscribe: the filter has no subject")
	}
	if req.Conflate != 0 && (req.Conflate < 0 || len(req.Filter.types) > 0) {
		return nil, errors.New("subscribe: to conflate takes a positive interval and a filter without types")
	}
	if req.Page.Events <= 0 {
		req.Page.Events = h.opts.Page.Events
	}
	if req.Page.Bytes <= 0 {
		req.Page.Bytes = h.opts.Page.Bytes
	}
	s := &Subscription{hub: h, req: req, unsure: true}
	if req.Waker == nil {
		s.ready = make(chan struct{}, 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.joinLocked(s, req.Filter); err != nil {
		return nil, fmt.Errorf("subscribe to %q: %w", req.Filter.subjects, err)
	}
	s.req.Filter = s.feed.filter // one for all
	return s, nil
}

// Close ends the subscription. It may be called from any goroutine and more than
// once; nobody is woken for it.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.hub.leaveLocked(s)
	delete(s.hub.unsettled, s)
	if s.timer != nil {
		s.timer.Stop()
	}
}

// Filter returns what the subscription selects.
func (s *Subscription) Filter() Filter { return s.req.Filter }

// Lag returns the sequence up to which the subscriber was given what matches, and how
// many sequences of the log are left after it. It may be called from any goroutine.
func (s *Subscription) Lag() (at, behind uint64) {
	head, mark, progress := s.hub.Head().Seq, s.mark.Load(), s.progress.Load()
	at = progress >> 1
	if progress&1 == 1 { // H2
		upTo := head
		if mark != nil {
			upTo = mark.Seq
		}
		at = max(at, upTo)
	}
	return at, head - min(at, head)
}

// noteProgress keeps for Lag how far the subscription has come.
func (s *Subscription) noteProgress() {
	progress := s.position.Seq << 1
	if s.settled && s.caughtUp {
		progress++
	}
	s.progress.Store(progress)
}

// Ready receives when Next may have something new. A receive may be spurious.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

func (s *Subscription) wake() {
	if s.req.Waker != nil {
		s.req.Waker.Wake()
		return
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Next returns what has come since the last call. It does not wait for events:
// without any, the batch has none, and its Position has moved on with the log.
// It may read the disk, and ask the history where the position is older than the
// log. Errors: the context's; ErrTooMany for a snapshot beyond its bound; a
// failure of the log that the history cannot make good.
func (s *Subscription) Next(ctx context.Context) (Batch, error) {
	defer s.noteProgress()
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
		if s.caughtUp && mark == nil {
			batch := s.advance(head)
			batch.Finished = s.finished(ctx)
			return batch, nil
		}
		s.advanceTo(mark)
		if s.early(mark) {
			s.caughtUp = false
			return Batch{Start: s.position, Position: s.position}, nil
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
		batch = s.accept(batch)
		s.unsure = s.unsure || batch.run == nil // only runs tell of the ends they pass
		if s.caughtUp {
			batch.Finished = s.finished(ctx)
		}
		return batch, nil
	}
}

// TryNext is Next for what is in memory: it does not touch the disk, nor ask the
// history, so that it may be called where nothing may take long. ok is false where
// that is not enough: then call Next.
func (s *Subscription) TryNext() (_ Batch, ok bool) {
	defer s.noteProgress()
	if !s.settled || s.unsure || len(s.snapshot) > 0 && !s.round {
		return Batch{}, false
	}
	mark, head, epoch := s.take()
	if epoch != s.epoch {
		return Batch{}, false
	}
	if s.caughtUp && mark == nil {
		return s.advance(head), true
	}
	s.advanceTo(mark)
	if s.early(mark) {
		s.caughtUp = false
		return Batch{Start: s.position, Position: s.position}, true
	}
	batch, ok := s.readTail()
	if !ok || s.hub.epoch.Load() != s.epoch { // H3
		s.caughtUp = false // the mark was taken: Next has to read
		return Batch{}, false
	}
	batch = s.accept(batch)
	batch.More = batch.More || s.unsure
	return batch, true
}

// take returns head and takes the mark, in this order (H2).
func (s *Subscription) take() (mark *ID, head ID, epoch uint64) {
	head = s.hub.Head()
	return s.mark.Swap(nil), head, s.hub.epoch.Load()
}

// advance moves a subscription that has missed nothing up to head (H2).
func (s *Subscription) advance(head ID) Batch {
	start := s.position
	s.position = later(s.position, head)
	return Batch{Start: start, Position: s.position}
}

// advanceTo moves one that has missed nothing up to its mark (H2).
func (s *Subscription) advanceTo(mark *ID) {
	if s.caughtUp && mark != nil {
		s.position = later(s.position, *mark)
	}
}

// accept moves the cursor on behind a batch that was read.
func (s *Subscription) accept(batch Batch) Batch {
	batch.Start, s.position = s.position, batch.Position
	s.placed = s.placed || len(s.snapshot) == 0 || len(batch.Events) > 0
	s.caughtUp = !batch.More
	return batch
}

// retryLater wakes the subscription when it is time to ask the history again.
func (s *Subscription) retryLater() {
	s.caughtUp = false // so that the next call reads, pending or not
	s.wakeIn(s.hub.opts.Retry)
}

func (s *Subscription) wakeIn(d time.Duration) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	switch {
	case s.closed:
	case s.timer == nil:
		s.timer = time.AfterFunc(d, s.wake)
	default:
		s.timer.Reset(d)
	}
}

// read returns the events after the position, from wherever they are held.
func (s *Subscription) read(ctx context.Context) (Batch, error) {
	if len(s.snapshot) > 0 && !s.round {
		return s.readSnapshot(ctx)
	}
	if batch, ok := s.readTail(); ok {
		return batch, nil
	}
	batch, err := s.readLog()
	switch {
	case errors.Is(err, ErrEvicted):
		return s.readHistory(ctx, s.hub.log.Bounds().Floor)
	case errors.Is(err, ErrCorrupt):
		return s.readHistory(ctx, s.hub.log.Bounds().Head)
	case err != nil:
		return Batch{}, fmt.Errorf("read log: %w", err)
	}
	return batch, nil
}

// readLog returns the events after the position, where the log holds them.
func (s *Subscription) readLog() (Batch, error) {
	if s.req.Conflate > 0 {
		return s.readRoundFromLog()
	}
	page, err := s.hub.log.Read(s.position.Seq, s.req.Filter, s.req.Page)
	if err != nil {
		return Batch{}, err
	}
	if page.Position.Seq == s.position.Seq {
		page.Position = s.position // it may lie beyond the log's head, and have a stamp
	}
	return Batch{Events: deliveries(page.Events), Position: page.Position, More: page.More}, nil
}

// readTail returns the events after the position, where the tail holds them.
func (s *Subscription) readTail() (_ Batch, ok bool) {
	if s.req.Conflate > 0 {
		return s.readRound()
	}
	r := s.readRun()
	if r == nil {
		return Batch{}, false
	}
	s.unsure = s.unsure || r.ends
	return Batch{Events: r.events, Position: r.position, More: r.position.Seq < s.hub.tail.newest.Load(), run: r}, true
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
	if s.req.Conflate > 0 {
		page.Events = newestOfEach(page.Events)
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
		if s.req.Conflate > 0 {
			s.startInterval(s.hub.clock())
		}
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
