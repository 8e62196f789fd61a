//go:build linux

package faults

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// fate is what became of one event that was published.
type fate struct {
	seq    uint64 // under which it was acknowledged; 0 while or where it was not
	gaveUp bool   // never acknowledged: it may be stored or not
	acked  time.Time
}

// ledger is the truth that clients are held to: which events were acknowledged to
// their publishers, by subject and counter. Counters of a subject begin at 1, and
// the next one is published only when the fate of the one before is known.
//
// It may be used from any number of goroutines.
type ledger struct {
	mu       sync.Mutex // guards what follows; nothing blocks while it is held
	subjects map[string][]fate
	purged   []purge
	acked    uint64
	gaveUp   uint64
}

// purge is events that were taken from the stream on purpose: all up to a sequence.
type purge struct {
	At   time.Time `json:"at"`
	UpTo uint64    `json:"up_to"`
}

func newLedger() *ledger { return &ledger{subjects: map[string][]fate{}} }

// ack notes that an event was acknowledged under a sequence.
func (l *ledger) ack(subject string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subjects[subject] = append(l.subjects[subject], fate{seq: seq, acked: time.Now()})
	l.acked++
}

// giveUp notes that an event was not acknowledged for as long as repeating it is safe.
func (l *ledger) giveUp(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subjects[subject] = append(l.subjects[subject], fate{gaveUp: true})
	l.gaveUp++
}

// fate returns what became of the event with that counter; ok is false where that
// is not known yet.
func (l *ledger) fate(subject string, counter uint64) (f fate, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fates := l.subjects[subject]
	if counter < 1 || counter > uint64(len(fates)) {
		return fate{}, false
	}
	return fates[counter-1], true
}

// newest returns the newest acknowledged event of a subject, counter 0 where there
// is none.
func (l *ledger) newest(subject string) (counter, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fates := l.subjects[subject]
	for i, f := range slices.Backward(fates) {
		if !f.gaveUp {
			return uint64(i + 1), f.seq
		}
	}
	return 0, 0
}

// newestSince returns the sequence of the newest event of the subject, where that was
// acknowledged after a time.
func (l *ledger) newestSince(subject string, t time.Time) (seq uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fates := l.subjects[subject]
	if n := len(fates); n > 0 && fates[n-1].acked.After(t) {
		return fates[n-1].seq, true
	}
	return 0, false
}

// countersAt returns for each subject the counter of its newest event up to a
// sequence, 0 where there is none.
func (l *ledger) countersAt(subjects []string, seq uint64) map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := make(map[string]uint64, len(subjects))
	for _, s := range subjects {
		fates := l.subjects[s]
		at[s] = 0
		for i, f := range slices.Backward(fates) {
			if f.seq != 0 && f.seq <= seq {
				at[s] = uint64(i + 1)
				break
			}
		}
	}
	return at
}

// notePurge notes it before it is made.
func (l *ledger) notePurge(upTo uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.purged = append(l.purged, purge{time.Now(), upTo})
}

// purgedUpTo returns the greatest sequence that was taken away.
func (l *ledger) purgedUpTo() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.purged) == 0 {
		return 0
	}
	return slices.MaxFunc(l.purged, func(a, b purge) int { return cmp.Compare(a.UpTo, b.UpTo) }).UpTo
}

// counts returns how many events were acknowledged, and how many given up.
func (l *ledger) counts() (acked, gaveUp uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.gaveUp
}
