package replay_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// TestRing_Concurrent reads with cursors while events are appended to a ring that
// is smaller than some of the batches: by scan and by index every reader sees
// every matching sequence after its position, or ErrEvicted, while what is pending
// moves into the file (invariants 5, 6).
func TestRing_Concurrent(t *testing.T) {
	const last = 60_000
	r := open(t, ringPath(t), replay.Options{MaxEvents: 400, WriteInterval: time.Millisecond})
	subject := func(seq uint64) string { return fmt.Sprintf("events.%d", seq%100) }
	var wg sync.WaitGroup
	for _, reader := range []struct {
		subject string
		every   uint64 // which sequences match
		lim     broker.Limits
	}{
		{"events.>", 1, broker.Limits{Events: 100, Bytes: 1 << 20}},
		{"events.>", 1, broker.Limits{Events: 5000, Bytes: 1 << 20}},
		{"events.0", 100, broker.Limits{Events: 7, Bytes: 1 << 20}},
		{"events.0", 100, broker.Limits{Events: 1000, Bytes: 1 << 20}},
	} {
		f := filter(t, reader.subject)
		wg.Go(func() {
			at, evictions, seen := uint64(0), 0, 0
			for at < last {
				p, err := r.Read(at, f, reader.lim)
				if errors.Is(err, broker.ErrEvicted) {
					evictions++
					at = r.Bounds().Floor.Seq
					continue
				}
				if err != nil {
					t.Errorf("read after %d: %v", at, err)
					return
				}
				next := at - at%reader.every + reader.every
				for _, e := range p.Events {
					if e.ID.Seq != next || e.Subject != subject(next) {
						t.Errorf("after %d: got %d %s, want %d", at, e.ID.Seq, e.Subject, next)
						return
					}
					next += reader.every
					seen++
				}
				if p.Position.Seq >= next || p.Position.Seq < at {
					t.Errorf("after %d: position %s passes %d", at, p.Position, next)
					return
				}
				at = p.Position.Seq
			}
			t.Logf("%s: %d events, evicted %d times", reader.subject, seen, evictions)
			if evictions == 0 {
				t.Errorf("%s: never evicted: the test does not reach what it is for", reader.subject)
			}
		})
	}
	wg.Go(func() { // the rest of the interface beside it
		f := filter(t, "events.*")
		for r.Bounds().Head.Seq < last {
			seqs := r.Last(f)
			if _, _, err := r.Get(seqs, broker.Limits{Events: 10, Bytes: 1 << 20}); err != nil {
				t.Error(err)
				return
			}
			floor := r.Bounds().Floor
			if at, ok, err := r.Seek(floor.Time()); err != nil || ok && at.Seq+1 < floor.Seq {
				t.Errorf("seek %s: %s %v %v", floor, at, ok, err)
				return
			}
			r.Stats()
		}
	})
	for seq := uint64(1); seq <= last; {
		batch := events(seq, min(seq+seq%97*5, last))
		for i := range batch {
			batch[i].Subject = subject(batch[i].ID.Seq)
		}
		mustAppend(t, r, batch)
		seq += uint64(len(batch))
	}
	wg.Wait()
}

// TestRing_ConcurrentReset: a read that began before a Reset never returns events
// of the stream after it as if they continued the one before (invariant 6).
func TestRing_ConcurrentReset(t *testing.T) {
	r := open(t, ringPath(t), replay.Options{})
	round := func(n int) []broker.Event {
		batch := events(1, 500)
		for i := range batch {
			// In every round a subject's events have other sequences.
			batch[i].Subject = fmt.Sprintf("events.%d", (i+n)%50)
			batch[i].Data = fmt.Append(nil, n)
		}
		return batch
	}
	mustAppend(t, r, round(0))
	done := make(chan struct{}) // closed below
	var wg sync.WaitGroup
	for _, f := range []broker.Filter{filter(t, "events.0"), filter(t, ">")} {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				p, err := r.Read(0, f, everything)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range p.Events {
					if string(e.Data) != string(p.Events[0].Data) || !f.MatchesSubject(e.Subject) {
						t.Errorf("page of round %s has %s of round %s on %s", p.Events[0].Data, e.ID, e.Data, e.Subject)
						return
					}
				}
			}
		})
	}
	for n := 1; n < 200; n++ {
		batch := round(n)
		if err := r.Reset(broker.ID{Stamp: broker.NoStamp}); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			mustAppend(t, r, batch)
			continue
		}
		mustWrite(t, r, batch[:250]) // a page is of the file and of what is pending
		mustAppend(t, r, batch[250:])
	}
	close(done)
	wg.Wait()
}

// TestRing_Close: afterwards everything is ErrClosed, or what it was.
func TestRing_Close(t *testing.T) {
	r := open(t, ringPath(t), replay.Options{})
	mustAppend(t, r, events(1, 10))
	before := r.Bounds()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, readErr := r.Read(0, filter(t, ">"), everything)
	_, headErr := r.Read(10, filter(t, ">"), everything)
	_, _, atErr := r.At(1)
	_, _, seekErr := r.Seek(before.Head.Time())
	_, _, getErr := r.Get([]uint64{1}, everything)
	for name, err := range map[string]error{
		"append": r.Append(events(11, 12)), "reset": r.Reset(broker.ID{}), "close": r.Close(),
		"read": readErr, "read at head": headErr, "at": atErr, "seek": seekErr, "get": getErr,
	} {
		if !errors.Is(err, replay.ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	if r.Bounds() != before || r.Stats().Events != 10 {
		t.Errorf("bounds %v, before %v", r.Bounds(), before)
	}
}
