package bench

// tally checks the places of the events that one client receives: each once, in
// order.
type tally struct {
	next uint64 // the place expected
	seen uint64 // of the 64 places before next, which came; the lowest bit is next-1

	gapAt      uint64 // the first place that was skipped, 0 while there is none
	received   uint64 // different events
	missing    uint64 // skipped and not come since
	repeated   uint64 // came again
	disordered uint64 // came after a later one
}

// count counts an event and reports whether it is one not had before.
func (t *tally) count(place uint64) bool {
	if place < t.next {
		return t.countOld(t.next - 1 - place)
	}
	skipped := place - t.next
	if skipped > 0 && t.gapAt == 0 {
		t.gapAt = t.next
	}
	t.missing += skipped
	t.seen = t.seen<<skipped<<1 | 1 // a shift by 64 or more leaves nothing
	t.next = place + 1
	t.received++
	return true
}

// countOld counts an event that is age places before the newest one.
func (t *tally) countOld(age uint64) bool {
	if bit := uint64(1) << age; age >= 64 || t.seen&bit != 0 {
		t.repeated++
		return false
	} else {
		t.seen |= bit
	}
	t.missing--
	t.disordered++
	t.received++
	return true
}

// outdated reports whether the event at place last, the newest, has not come.
func (t *tally) outdated(last uint64) bool { return t.next <= last }

// lostFrom returns the first place that was skipped, or did not come in the end, of
// a tally that has lost something.
func (t *tally) lostFrom() uint64 {
	if t.gapAt > 0 {
		return t.gapAt
	}
	return t.next
}

// lost returns how many of the events up to the place last have not come.
func (t *tally) lost(last uint64) uint64 {
	if last+1 < t.next {
		return t.missing
	}
	return t.missing + last + 1 - t.next
}
