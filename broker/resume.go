package broker

import (
	"context"
	"errors"
	"fmt"
)

// errBehind: the log has not caught up with the id yet, though the stream holds
// events that far.
var errBehind = errors.New("the log is behind the id")

// placement is where a subscription stands and what lies before it. It becomes
// the subscription's only when the log was not reset while it was worked out.
type placement struct {
	// gap, unless nil, has to be told first.
	gap      *Gap
	position ID
	// snapshot, unless empty, are the sequences to read before going on at
	// position. Until a part of it was handed on the subscriber has no position.
	snapshot []uint64
}

// settle finds the subscription's place in the log as it is in this epoch. When
// it cannot yet, or there is a gap to tell, done is false and the batch or error
// is Next's answer.
func (s *Subscription) settle(ctx context.Context, epoch uint64) (_ Batch, done bool, _ error) {
	p, err := s.place(ctx)
	switch {
	case s.hub.epoch.Load() != epoch: // the log was reset while it was asked
		s.wake()
		return Batch{Pending: true}, false, nil
	case errors.Is(err, errBehind):
		s.waitForHead()
		return Batch{Pending: true}, false, nil
	case errors.Is(err, ErrUnavailable):
		s.retryLater()
		return Batch{Pending: true}, false, nil
	case err != nil:
		return Batch{}, false, err
	}
	s.settled, s.epoch, s.caughtUp, s.unsure, s.pasts = true, epoch, false, true, nil
	s.position, s.snapshot, s.snapshotEnd, s.round = p.position, p.snapshot, p.position, false
	s.placed = len(p.snapshot) == 0
	if p.gap != nil {
		return Batch{Gap: p.gap, Start: p.position, Position: p.position, Snapshot: !s.placed, More: true}, false, nil
	}
	return Batch{}, true, nil
}

// waitForHead wakes the subscription at the next Append, and after a while in
// any case: the stream may turn out to have been rewound.
func (s *Subscription) waitForHead() {
	s.hub.mu.Lock()
	s.hub.unsettled[s] = struct{}{}
	s.hub.mu.Unlock()
	s.retryLater()
}

// place works out where the subscription stands from what the subscriber is
// known to have: the position it was given in an earlier epoch, else its
// Last-Event-ID, else nothing.
func (s *Subscription) place(ctx context.Context) (placement, error) {
	switch {
	case s.placed:
		return s.resume(ctx, s.position, s.position.String(), s.req.From)
	case s.req.LastEventID == "":
		return s.start(ctx, s.req.From)
	}
	last, err := ParseID(s.req.LastEventID)
	if err != nil {
		return s.startOver(ctx, GapUnknown, s.req.LastEventID, s.req.From)
	}
	return s.resume(ctx, last, s.req.LastEventID, s.req.From)
}

// resume goes on after the event last, once that id is verified, and at from
// where it is of another stream.
func (s *Subscription) resume(ctx context.Context, last ID, requested string, from From) (placement, error) {
	at, reason, err := s.hub.verify(ctx, last)
	switch {
	case err != nil:
		return placement{}, err
	case reason == GapReset && s.hub.holdsNow(ctx, last):
		return placement{}, errBehind // another instance has noticed a reset before this one
	case reason == GapReset:
		return s.startOver(ctx, reason, requested, from)
	case reason == GapExpired:
		return placement{position: at, gap: s.hub.gap(ctx, reason, requested, at)}, nil
	}
	return placement{position: at}, nil
}

// startOver begins where a new subscription would and tells the gap.
func (s *Subscription) startOver(ctx context.Context, reason GapReason, requested string, from From) (placement, error) {
	p, err := s.start(ctx, from)
	if err != nil {
		return placement{}, err
	}
	p.gap = s.hub.gap(ctx, reason, requested, p.position)
	return p, nil
}

// start begins a new subscription. Only FromID can have a gap.
func (s *Subscription) start(ctx context.Context, from From) (p placement, err error) {
	switch from.kind {
	case fromID:
		return s.resume(ctx, from.id, from.id.String(), FromNow)
	case fromOldest:
		p.position, err = s.hub.oldestPosition(ctx)
	case fromTime:
		p.position, err = s.hub.seek(ctx, from)
	case fromLast:
		return s.startSnapshot(ctx)
	default:
		p.position = s.hub.now()
	}
	return p, err
}

// startSnapshot collects the newest event of each subject, as far as the log has
// come. What is appended meanwhile comes after the snapshot.
func (s *Subscription) startSnapshot(ctx context.Context) (placement, error) {
	h, f := s.hub, s.req.Filter
	end := h.Head()
	recent := h.log.Last(f)
	recent = recent[:countUpTo(recent, end.Seq)]
	// The floor after Last: what is evicted meanwhile is found in the history. Before
	// it, an event evicted in between would be in neither.
	floor := min(h.log.Bounds().Floor.Seq, end.Seq)
	recent = recent[countUpTo(recent, floor):]
	var old []uint64
	if floor > 0 && !(f.Literal() && len(recent) == len(f.subjects)) {
		var err error
		if old, err = h.history.Last(ctx, f, floor, h.opts.MaxLast); err != nil {
			return placement{}, fmt.Errorf("find last values: %w", err)
		}
	}
	if len(old)+len(recent) > h.opts.MaxLast {
		return placement{}, fmt.Errorf("find last values: %w: more than %d match", ErrTooMany, h.opts.MaxLast)
	}
	return placement{position: end, snapshot: append(old, recent...)}, nil
}

// verify checks an id and returns where a subscriber that holds it goes on, with
// the reason of the gap that lies before, if any. At GapReset at means nothing.
func (h *Hub) verify(ctx context.Context, id ID) (at ID, reason GapReason, err error) {
	b := h.log.Bounds()
	if id.Seq > b.Head.Seq {
		return h.verifyAhead(ctx, id)
	}
	if id.Seq == b.Head.Seq || id.Seq == b.Floor.Seq {
		known := b.Floor
		if id.Seq == b.Head.Seq {
			known = b.Head
		}
		if known.Stamp != NoStamp {
			return verdict(id, known)
		}
	}
	if id.Seq > b.Floor.Seq {
		switch stored, ok, err := h.log.At(id.Seq); {
		case err == nil && ok:
			return verdict(id, stored)
		case err == nil && h.log.Bounds().Floor.Seq < id.Seq:
			return h.verifyAbsent(ctx, id)
		case err != nil && !errors.Is(err, ErrCorrupt):
			return ID{}, "", fmt.Errorf("verify id: %w", err)
		}
	}
	return h.verifyOld(ctx, id)
}

// holdsNow reports whether the stream is known to hold the very event, whatever the
// log says: then it is the log that is of another stream.
func (h *Hub) holdsNow(ctx context.Context, id ID) bool {
	stored, ok, err := h.history.At(ctx, id.Seq)
	return err == nil && ok && stored == id
}

// verdict compares an id with the one that is stored under the same sequence.
func verdict(id, stored ID) (ID, GapReason, error) {
	if id.Stamp != NoStamp && stored.Stamp != NoStamp && id.Stamp != stored.Stamp {
		return ID{}, GapReset, nil
	}
	return stored, "", nil
}

// verifyAhead checks an id beyond the log's head. An instance that lags behind
// another one, or one in a region to which the stream is copied, meets such ids in
// good order; beyond the newest event that there is they are from another stream.
func (h *Hub) verifyAhead(ctx context.Context, id ID) (ID, GapReason, error) {
	h.mu.Lock()
	upstream := h.upstream
	h.mu.Unlock()
	if id.Seq <= upstream.Seq {
		return ID{}, "", errBehind
	}
	newest, err := h.history.Newest(ctx)
	switch {
	case err != nil:
		return ID{}, "", fmt.Errorf("verify id: %w", err)
	case id.Seq > newest.Seq:
		return ID{}, GapReset, nil
	}
	h.mu.Lock()
	h.upstream = later(h.upstream, newest) // spares the next one the question
	h.mu.Unlock()
	return ID{}, "", errBehind
}

// verifyAbsent checks an id within the log for which that has no event: what follows it
// is here all the same. The event may be one that is not for this log, or deleted from the
// stream.
func (h *Hub) verifyAbsent(ctx context.Context, id ID) (ID, GapReason, error) {
	if id.Stamp == NoStamp {
		return id, "", nil
	}
	switch stored, ok, err := h.history.At(ctx, id.Seq); {
	case err != nil:
		return ID{}, "", fmt.Errorf("verify id: %w", err)
	case ok:
		return verdict(id, stored)
	}
	return id, "", nil
}

// verifyOld checks an id at or below the log's floor. An id whose event is gone
// cannot be verified; it is taken for good when nothing after it is missing.
func (h *Hub) verifyOld(ctx context.Context, id ID) (ID, GapReason, error) {
	if id.Seq == 0 && id.Stamp > 0 {
		return ID{}, GapReset, nil // no event has sequence 0
	}
	if id.Seq > 0 {
		switch stored, ok, err := h.history.At(ctx, id.Seq); {
		case err != nil:
			return ID{}, "", fmt.Errorf("verify id: %w", err)
		case ok:
			return verdict(id, stored)
		}
	}
	log := h.log.Bounds()
	if log.Floor.Seq == 0 { // the log holds everything there is
		return id, "", nil
	}
	stream, err := h.history.Bounds(ctx)
	switch floor := lower(stream.Floor, log.Floor); {
	case err != nil:
		return ID{}, "", fmt.Errorf("verify id: %w", err)
	case id.Seq == stream.Head.Seq: // of a stream that was purged
		return verdict(id, stream.Head)
	case id.Seq >= floor.Seq:
		return id, "", nil
	default:
		return floor, GapExpired, nil
	}
}

// oldestPosition returns the position before the oldest event held, be it by the
// stream or, where that has smaller limits, by the log.
func (h *Hub) oldestPosition(ctx context.Context) (ID, error) {
	floor := h.log.Bounds().Floor
	if floor.Seq == 0 {
		return floor, nil
	}
	stream, err := h.history.Bounds(ctx)
	if err != nil {
		return ID{}, fmt.Errorf("find the oldest event: %w", err)
	}
	return lower(stream.Floor, floor), nil
}

// lower returns the one with the smaller sequence, b where they are equal.
func lower(a, b ID) ID {
	if a.Seq < b.Seq {
		return a
	}
	return b
}

// seek returns the position before the first event at or after the time of from.
// The log knows it unless that lies below the floor, or beyond the head of a log
// that is catching up.
func (h *Hub) seek(ctx context.Context, from From) (ID, error) {
	b := h.log.Bounds()
	at, inLog, err := h.log.Seek(from.time)
	switch {
	case err != nil && !errors.Is(err, ErrCorrupt):
		return ID{}, fmt.Errorf("seek time: %w", err)
	case err == nil && inLog && (at.Seq < b.Head.Seq || b.Head.Seq >= h.now().Seq):
		return at, nil
	}
	if at, err = h.history.Seek(ctx, from.time); err != nil {
		return ID{}, fmt.Errorf("seek time: %w", err)
	}
	if !inLog && at.Seq > b.Floor.Seq { // the stream holds less than the log
		return b.Floor, nil
	}
	return at, nil
}

// gap fills in the oldest event held, as far as it can be learned.
func (h *Hub) gap(ctx context.Context, reason GapReason, requested string, at ID) *Gap {
	gap := &Gap{Reason: reason, Requested: requested, At: at}
	floor := at
	if reason != GapExpired {
		var err error
		if floor, err = h.oldestPosition(ctx); err != nil {
			floor = h.log.Bounds().Floor
		}
	}
	if floor.Seq < h.now().Seq {
		gap.Oldest = h.Lookup(ctx, floor.Seq+1)
	}
	return gap
}

// finished reports whether every subject of the filter has ended and the
// subscription has read it all.
func (s *Subscription) finished(ctx context.Context) bool {
	if !s.unsure {
		return false
	}
	s.unsure = false
	if !s.req.Filter.Literal() {
		return false
	}
	// What lies before the position and has yet to be taken in may be an end.
	s.unsure = s.hub.Head().Seq < s.position.Seq
	for _, subject := range s.req.Filter.subjects {
		if !s.ended(ctx, subject) {
			return false
		}
	}
	return true
}

// ended reports whether the subject's newest event is its end and has been read.
func (s *Subscription) ended(ctx context.Context, subject string) bool {
	if id, end, ok := s.hub.log.LastOf(subject); ok {
		return end && id.Seq <= s.position.Seq
	}
	past, ok := s.pastOf(ctx, subject)
	return ok && past.end && past.id.Seq <= s.position.Seq
}

// past is what the history knows of a subject of which the log holds nothing.
type past struct {
	id   ID
	end  bool
	upTo uint64 // what comes later comes through the log
}

// pastOf asks the history for a subject's newest event; ok is false where there is
// none or it cannot be told. It asks once, and again when the log has evicted what
// came after the answer.
func (s *Subscription) pastOf(ctx context.Context, subject string) (p past, ok bool) {
	b := s.hub.log.Bounds()
	if b.Floor.Seq == 0 {
		return past{}, false
	}
	if p, ok = s.pasts[subject]; ok && b.Floor.Seq <= p.upTo {
		return p, p.id != ID{}
	}
	id, end, _, err := s.hub.history.LastOf(ctx, subject)
	if err != nil {
		s.unsure = true
		s.retryLater() // or a finished stream would stay open
		return past{}, false
	}
	if s.pasts == nil {
		s.pasts = map[string]past{}
	}
	p = past{id: id, end: end, upTo: b.Head.Seq}
	s.pasts[subject] = p
	return p, p.id != ID{}
}
