package replay

import "ringcast/broker"

// markEvery is the distance of the timeline's marks in events: what Seek looks
// through at most, against 16 bytes of memory for each mark.
const markEvery = 256

// timeline finds the place of a time in the ring without reading all of it. It
// does not rely on stamps ascending: a new stream leader's clock may lag behind
// the old one's. The greatest stamp so far does ascend, and the first event at
// or after a time is where it first reaches that time.
type timeline struct {
	marks []mark
	since int   // events since the last mark
	max   int64 // greatest stamp of all events so far
}

// mark says that no event up to and including seq has a stamp above max.
type mark struct {
	seq uint64
	max int64
}

func (t *timeline) add(id broker.ID) {
	t.max = max(t.max, id.Stamp)
	if t.since++; t.since == markEvery {
		t.marks = append(t.marks, mark{id.Seq, t.max})
		t.since = 0
	}
}

// evict forgets the marks up to and including seq.
func (t *timeline) evict(seq uint64) {
	n := 0
	for n < len(t.marks) && t.marks[n].seq <= seq {
		n++
	}
	if n > 0 {
		t.marks = append(t.marks[:0], t.marks[n:]...)
	}
}

// before returns a sequence up to and including which every event was stored
// before stamp.
func (t *timeline) before(stamp int64) uint64 {
	lo, hi := 0, len(t.marks)
	for lo < hi {
		if mid := (lo + hi) / 2; t.marks[mid].max < stamp {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0
	}
	return t.marks[lo-1].seq
}
