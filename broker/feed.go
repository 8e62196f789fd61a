package broker

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// feed is all subscriptions of one filter. An event is matched once for all of them,
// and what one reads from the tail the others read as it is. With a thousand
// clients on one subject, matching the events of a burst for each was 22 % of the
// processor time.
type feed struct {
	filter Filter
	key    string
	// number tells feeds apart.
	number uint64
	// size is len(subs), to be read without the lock.
	size atomic.Int32

	// subs in no order, and marked, the number of the last batch that marked them,
	// are guarded by hub.mu.
	subs   []*Subscription
	marked uint64
}

// joinLocked adds a subscription to the feed of its filter.
func (h *Hub) joinLocked(s *Subscription, filter Filter) error {
	key := filter.key()
	f := h.feeds[key]
	if f == nil {
		h.feedCount++
		f = &feed{filter: filter, key: key, number: h.feedCount}
		for i, subject := range filter.subjects {
			if err := h.index.Insert(subject, f); err != nil {
				f.removeLocked(h, filter.subjects[:i])
				return err
			}
		}
		h.feeds[key] = f
	}
	s.feed, s.at = f, len(f.subs)
	f.subs = append(f.subs, s)
	f.size.Store(int32(len(f.subs)))
	h.subs++
	return nil
}

// leaveLocked takes a subscription out of its feed, and the feed out of the index
// when it was the last one.
func (h *Hub) leaveLocked(s *Subscription) {
	f, last := s.feed, len(s.feed.subs)-1
	f.subs[s.at] = f.subs[last]
	f.subs[s.at].at = s.at
	f.subs[last] = nil
	f.subs = f.subs[:last]
	f.size.Store(int32(last))
	h.subs--
	if last == 0 {
		f.removeLocked(h, f.filter.subjects)
		delete(h.feeds, f.key)
	}
}

func (f *feed) removeLocked(h *Hub, subjects []string) {
	for _, subject := range subjects {
		_ = h.index.Remove(subject, f) // fails only for what was not inserted
	}
}

// markLocked marks every subscription with the position before the first event of
// a batch that matches. Once a batch is enough: a subscription that has taken its
// mark in the meantime has read the whole batch (H1).
func (f *feed) markLocked(batch uint64, before *ID) {
	if f.marked == batch {
		return
	}
	f.marked = batch
	for _, s := range f.subs {
		if s.mark.CompareAndSwap(nil, before) {
			s.wake()
		}
	}
}

// key is the same for filters that select the same. A subject has no white space in
// it, and a type may have a space but no line feed.
func (f Filter) key() string {
	key := strings.Join(f.subjects, " ")
	if len(f.types) == 0 {
		return strings.Clone(key) // it may be a part of a request line
	}
	return key + "\n" + strings.Join(f.types, "\n")
}

// run is a piece of the tail as one filter sees it: all that matches in (after,
// position]. It does not change, so that every subscription of the feed that stands
// at after can have it, with the bytes that were made of it.
type run struct {
	feed     *feed
	epoch    uint64
	lim      Limits
	conflate time.Duration

	after    uint64
	events   []*Delivery
	position ID
	// ends reports that an event of the filter's subjects ends its subject, be it of
	// a type that the filter leaves out.
	ends bool

	// made, rest and end are of a page of a round, which events is: when it was made,
	// by the hub's clock, the sequences of the pages after it, and where the round
	// ends.
	made time.Duration
	rest []uint64
	end  ID

	encoded [Encodings]atomic.Pointer[[]byte]
}

// runSlots is how many runs are kept at most: with a few hundred busy feeds one run
// may displace another, which is then read anew.
const runSlots = 256

// readRun returns what the tail holds after the position; nil where the log has to
// be asked.
func (s *Subscription) readRun() *run {
	slot := s.hub.runSlot(s.feed, s.position.Seq)
	if r := slot.Load(); r.suits(s) {
		return r
	}
	r := s.hub.tail.read(s.position, s.req.Filter, s.req.Page)
	if r != nil {
		s.share(slot, r)
	}
	return r
}

func (h *Hub) runSlot(f *feed, after uint64) *atomic.Pointer[run] {
	return &h.runs[(f.number*0x9e3779b97f4a7c15+after)%runSlots]
}

// suits reports whether the subscription can read the run. A nil run suits none.
func (r *run) suits(s *Subscription) bool {
	return r != nil && r.feed == s.feed && r.after == s.position.Seq && r.epoch == s.epoch &&
		r.lim == s.req.Page && r.conflate == s.req.Conflate
}

// share keeps a run for the other subscriptions of the feed, where there are any. A
// run that leads nowhere is not kept: it would hide what comes next.
func (s *Subscription) share(slot *atomic.Pointer[run], r *run) {
	if s.feed.size.Load() > 1 && r.position.Seq > r.after {
		r.feed, r.epoch, r.lim, r.conflate = s.feed, s.epoch, s.req.Page, s.req.Conflate
		slot.Store(r)
	}
}

// forgetRuns lets go of events that the tail has let go of.
func (h *Hub) forgetRuns() {
	for i := range h.runs {
		h.runs[i].Store(nil)
	}
}

// Encoded returns the batch's events in the encoding of that number, below
// Encodings, which encode appends to its argument, always the same. The bytes are
// made once and shared by all subscribers that were given the same batch: they must
// not be changed. ok is false for a batch that is not shared.
func (b *Batch) Encoded(encoding int, encode func([]byte, []*Delivery) []byte) (_ []byte, ok bool) {
	if b.run == nil || b.run.feed == nil {
		return nil, false
	}
	slot := &b.run.encoded[encoding]
	if p := slot.Load(); p != nil {
		return *p, true
	}
	made := slices.Clip(encode(nil, b.Events))
	slot.Store(&made) // two at once make the same
	return made, true
}
