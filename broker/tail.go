package broker

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Encodings is how many encodings of an event, or of a batch, are kept with it.
const Encodings = 6

// Delivery is an event on its way to subscribers. What is in the hub's tail goes to
// many of them, so it keeps what was made of it.
type Delivery struct {
	Event
	// shared reports that the delivery is in the tail, where encoded pays.
	shared  bool
	encoded [Encodings]atomic.Pointer[[]byte]
}

// Encoded returns the event in the encoding of that number, below Encodings, which
// encode appends to its argument, always the same. The bytes are made once and
// shared by all subscribers: they must not be changed. ok is false for an event
// that is not shared and not worth keeping bytes for.
func (d *Delivery) Encoded(encoding int, encode func([]byte, *Event) []byte) (b []byte, ok bool) {
	if !d.shared {
		return nil, false
	}
	if p := d.encoded[encoding].Load(); p != nil {
		return *p, true
	}
	b = slices.Clip(encode(nil, &d.Event))
	d.encoded[encoding].Store(&b) // two at once make the same
	return b, true
}

// deliveries wraps events that were read for one subscriber.
func deliveries(events []Event) []*Delivery {
	all, out := make([]Delivery, len(events)), make([]*Delivery, len(events))
	for i := range events {
		all[i].Event = events[i]
		out[i] = &all[i]
	}
	return out
}

// tail is the newest part of the log in memory: what subscribers that keep up read,
// without touching the disk. Like the log it is contiguous, from floor to head.
type tail struct {
	most Limits

	// newest is the sequence of the head. It moves when append is done, so before
	// anybody is marked.
	newest atomic.Uint64

	// mu guards what follows. It is held for slicing and appending only.
	mu    sync.RWMutex
	floor ID
	// events are only ever appended, and dropped in front, without a write to their
	// array: a slice of them that was taken under mu stays what it is.
	events []*Delivery
	bytes  int
	// taken counts all that were ever appended.
	taken Intake
	// dropped is what the array still holds of those dropped.
	dropped Limits
}

func (t *tail) head() ID {
	if n := len(t.events); n > 0 {
		return t.events[n-1].ID
	}
	return t.floor
}

// append takes in events that the log has taken in. It reports whether it has let
// go of a good part of what it held.
func (t *tail) append(events []Event) (forgot bool) {
	added := deliveries(events)
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.bytes
	for _, d := range added {
		d.shared = true
		t.bytes += d.Size()
	}
	t.taken.Events += uint64(len(added))
	t.taken.Bytes += uint64(t.bytes - before)
	t.events = append(t.events, added...)
	drop := 0
	for len(t.events)-drop > t.most.Events || t.bytes > t.most.Bytes && drop < len(t.events) {
		size := t.events[drop].Size()
		t.bytes -= size
		t.dropped.Bytes += size
		t.floor = t.events[drop].ID
		drop++
	}
	t.dropped.Events += drop
	t.events = t.events[drop:]
	t.newest.Store(t.head().Seq)
	if t.dropped.Events > t.most.Events/8 || t.dropped.Bytes > t.most.Bytes/8 {
		t.events, t.dropped = slices.Clone(t.events), Limits{} // lets go of the old array
		return true
	}
	return false
}

// reset empties the tail.
func (t *tail) reset(at ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.floor, t.events, t.bytes, t.dropped = at, nil, 0, Limits{}
	t.newest.Store(at.Seq)
}

// intake returns how much was ever appended.
func (t *tail) intake() Intake {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.taken
}

// after returns everything after sequence seq; ok is false where that reaches
// below the floor. head is the position after the last.
func (t *tail) after(seq uint64) (events []*Delivery, head ID, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if seq < t.floor.Seq {
		return nil, ID{}, false
	}
	i, _ := slices.BinarySearchFunc(t.events, seq+1, bySeq)
	return t.events[i:], t.head(), true
}

// read returns what Log.Read would, as a run; nil where the log has to be asked.
func (t *tail) read(after ID, f Filter, lim Limits) *run {
	all, head, ok := t.after(after.Seq)
	if !ok {
		return nil
	}
	r := &run{after: after.Seq, position: after}
	bytes := 0
	for _, d := range all {
		if !f.MatchesSubject(d.Subject) {
			continue
		}
		if f.MatchesType(d.Type) {
			if len(r.events) == lim.Events || len(r.events) > 0 && bytes+d.Size() > lim.Bytes {
				return r
			}
			bytes += d.Size()
			r.events = append(r.events, d)
		}
		r.position = d.ID
		r.ends = r.ends || d.End
	}
	r.position = later(r.position, head)
	return r
}

// get returns the events with these ascending sequences until lim is reached; ok is
// false where the tail does not reach back to the first.
func (t *tail) get(seqs []uint64, lim Limits) (events []*Delivery, ok bool) {
	if len(seqs) == 0 {
		return nil, true
	}
	held, _, ok := t.after(seqs[0] - 1)
	if !ok {
		return nil, false
	}
	bytes := 0
	for _, seq := range seqs {
		i, found := slices.BinarySearchFunc(held, seq, bySeq)
		if !found {
			return nil, false
		}
		d := held[i]
		if len(events) == lim.Events || len(events) > 0 && bytes+d.Size() > lim.Bytes {
			break
		}
		bytes += d.Size()
		events, held = append(events, d), held[i+1:]
	}
	return events, true
}

func bySeq(d *Delivery, seq uint64) int { return cmp.Compare(d.ID.Seq, seq) }
