package replay_test

import (
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// inFile returns what a process that dies now would leave.
func inFile(t testing.TB, path string) replay.Summary {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := ringPath(t)
	if err := os.WriteFile(left, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return mustBeSound(t, left).Summary
}

// TestRing_Pending covers how events come from memory into the file (invariants 5
// and 8).
func TestRing_Pending(t *testing.T) {
	never := replay.Options{MaxEvents: 10_000, MaxBytes: 1 << 30, WriteInterval: time.Hour}

	t.Run("written_in_time", func(t *testing.T) {
		path := ringPath(t)
		synctest.Test(t, func(t *testing.T) {
			r := open(t, path, replay.Options{WriteInterval: time.Minute})
			batch := events(1, 30)
			for i := 0; i < len(batch); i += 10 { // 10 at 0 s, at 40 s and at 80 s
				mustAppend(t, r, batch[i:i+10])
				if diff := diffEvents(batch[:i+10], all(t, r)); diff != "" {
					t.Fatalf("after %d (want, got):\n%s", i, diff)
				}
				if want, got := []int64{0, 0, 20}[i/10], inFile(t, path).Events; got != want {
					t.Errorf("after %d: %d in the file, want %d", i, got, want)
				}
				time.Sleep(40 * time.Second)
				synctest.Wait()
			}
			time.Sleep(20*time.Second - 1)
			if got := inFile(t, path).Events; got != 20 {
				t.Errorf("before the interval has passed: %d in the file", got)
			}
			time.Sleep(1 * time.Nanosecond)
			synctest.Wait()
			if got := inFile(t, path).Events; got != 30 {
				t.Errorf("after the interval: %d in the file", got)
			}
		})
	})

	t.Run("written_when_full", func(t *testing.T) {
		path := ringPath(t)
		r := open(t, path, never)
		most, _ := never.MaxPending()
		batch := events(1, uint64(most)+1)
		mustAppend(t, r, batch[:1])
		mustAppend(t, r, batch[1:most])
		if got := inFile(t, path).Events; got != 0 {
			t.Errorf("with room left: %d in the file", got)
		}
		mustAppend(t, r, batch[most:])
		if got := inFile(t, path).Events; got != most {
			t.Errorf("without room: %d in the file, want %d", got, most)
		}
		if diff := diffEvents(batch, all(t, r)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("read_across_the_seam", func(t *testing.T) {
		r := open(t, ringPath(t), never)
		batch := events(1, 200)
		mustWrite(t, r, batch[:100])
		mustAppend(t, r, batch[100:])
		for _, limit := range []int{99, 100, 101} {
			p, err := r.Read(0, filter(t, ">"), broker.Limits{Events: limit, Bytes: 1 << 20})
			if diff := diffEvents(batch[:limit], p.Events); err != nil || diff != "" || !p.More || p.Position != batch[limit-1].ID {
				t.Errorf("limit %d: error %v, more %v, position %s: %s", limit, err, p.More, p.Position, diff)
			}
		}
		got, _, err := r.Get([]uint64{200, 100, 101, 1}, everything)
		want := []broker.Event{batch[199], batch[99], batch[100], batch[0]}
		if diff := diffEvents(want, got); err != nil || diff != "" {
			t.Errorf("error %v: %s", err, diff)
		}
		for _, i := range []int{99, 100, 101} {
			if at, ok, err := r.Seek(batch[i].ID.Time()); at != batch[i-1].ID || !ok || err != nil {
				t.Errorf("seek the time of %s: %s %v %v", batch[i].ID, at, ok, err)
			}
		}
	})

	t.Run("appended_during_a_commit", func(t *testing.T) {
		path := ringPath(t)
		synctest.Test(t, func(t *testing.T) {
			var during atomic.Pointer[func()]
			r := open(t, path, replay.Options{WriteInterval: 50 * time.Second}.WithClock(func() time.Time {
				if f := during.Swap(nil); f != nil { // a commit asks what the time is
					(*f)()
				}
				return time.Now()
			}))
			old, batch, late := events(1, 5), events(6, 8), events(9, 10)
			for i := range old { // evicted by the next commit, and the index begins anew
				old[i].ID.Stamp -= int64(replay.DefaultMaxAge - 30*time.Second)
			}
			late[0].Subject, late[1].Subject = "late", "late"
			mustWrite(t, r, old)
			mustAppend(t, r, batch)
			appendLate := func() { mustAppend(t, r, late) }
			during.Store(&appendLate)
			time.Sleep(50 * time.Second)
			synctest.Wait()
			if b := inFile(t, path).Bounds; b.Floor != old[4].ID || b.Head != batch[2].ID {
				t.Errorf("in the file: %v", b)
			}
			if id, _, ok := r.LastOf("late"); !ok || id != late[1].ID {
				t.Errorf("last of the late: %s %v", id, ok)
			}
			if diff := diffEvents(append(batch, late...), all(t, r)); diff != "" {
				t.Error(diff)
			}
			time.Sleep(50 * time.Second)
			synctest.Wait()
			if b := inFile(t, path).Bounds; b.Head != late[1].ID {
				t.Errorf("in the file an interval later: %v", b)
			}
		})
	})

	t.Run("dropped_by_reset", func(t *testing.T) {
		path := ringPath(t)
		r := open(t, path, never)
		mustWrite(t, r, events(1, 10))
		mustAppend(t, r, events(11, 20))
		at := broker.ID{Seq: 3, Stamp: 3}
		if err := r.Reset(at); err != nil {
			t.Fatal(err)
		}
		again := events(4, 6)
		mustWrite(t, r, again)
		if diff := diffEvents(again, all(t, r)); diff != "" || inFile(t, path).Events != 3 {
			t.Error(diff)
		}
	})
}

// TestRing_Committed: whoever measures the ring is told of every commit.
func TestRing_Committed(t *testing.T) {
	var told []replay.Commit
	r, err := replay.Open(ringPath(t), replay.Options{WriteInterval: time.Hour, Committed: func(c replay.Commit) { told = append(told, c) }})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, r, events(1, 3))
	mustWrite(t, r, nil) // is none
	mustAppend(t, r, events(4, 5))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, c := range told {
		if c.Err != nil || c.Took <= 0 {
			t.Errorf("%+v", c)
		}
		sizes = append(sizes, c.Events)
	}
	if !slices.Equal(sizes, []int{3, 2}) {
		t.Errorf("told of commits of %v events, want 3 and 2", sizes)
	}
}
