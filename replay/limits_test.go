package replay_test

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// TestRing_Append covers what limits do to a batch (invariants 1, 3, 4).
func TestRing_Append(t *testing.T) {
	t.Run("evicts_oldest", func(t *testing.T) {
		r := open(t, ringPath(t), replay.Options{MaxEvents: 10})
		batch := events(1, 25)
		mustWrite(t, r, batch[:8])
		mustWrite(t, r, batch[8:13])
		if b := r.Bounds(); b.Floor != batch[2].ID || b.Head != batch[12].ID {
			t.Errorf("bounds %v", b)
		}
		if diff := diffEvents(batch[3:13], all(t, r)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("batch_larger_than_ring", func(t *testing.T) {
		path := ringPath(t)
		r := open(t, path, replay.Options{MaxEvents: 10})
		mustWrite(t, r, events(1, 5))
		batch := events(6, 50_000)
		before := r.Stats().FileSize
		mustWrite(t, r, batch)
		if diff := diffEvents(batch[len(batch)-10:], all(t, r)); diff != "" {
			t.Error(diff)
		}
		// What is evicted at once is not written: this would have taken megabytes.
		if grown := r.Stats().FileSize - before; grown > 256<<10 {
			t.Errorf("file has grown by %d bytes", grown)
		}
	})
	t.Run("event_larger_than_ring", func(t *testing.T) {
		r := open(t, ringPath(t), replay.Options{MaxBytes: 1000})
		batch := events(1, 3)
		batch[1].Data = make([]byte, 1<<20)
		for i := range batch {
			mustWrite(t, r, batch[i:i+1])
			if diff := diffEvents(batch[i:i+1], all(t, r)); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("older_than_max_age", func(t *testing.T) {
		r := open(t, ringPath(t), replay.Options{MaxAge: time.Hour})
		batch := events(1, 5)
		for i := range batch {
			batch[i].ID.Stamp -= int64(2 * time.Hour)
		}
		mustWrite(t, r, batch)
		if b := r.Bounds(); b.Floor != batch[4].ID || b.Head != batch[4].ID {
			t.Errorf("bounds %v", b)
		}
	})
}

// TestRing_MaxAge: an idle ring evicts too (invariant 3).
func TestRing_MaxAge(t *testing.T) {
	path := ringPath(t)
	synctest.Test(t, func(t *testing.T) {
		r, err := replay.Open(path, replay.Options{MaxAge: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		first, second := events(1, 20_000), events(20_001, 20_100) // more than one chunk
		mustAppend(t, r, first)
		time.Sleep(30 * time.Minute)
		for i := range second {
			second[i].ID.Stamp = time.Now().UnixNano()
		}
		mustAppend(t, r, second)
		time.Sleep(32 * time.Minute)
		synctest.Wait()
		if diff := diffEvents(second, all(t, r)); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if b := r.Bounds(); !b.Empty() || b.Head != second[len(second)-1].ID {
			t.Errorf("bounds %v", b)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
	mustBeSound(t, path)
}

// TestOpen_SmallerLimits: what exceeds the limits is evicted on Open, in chunks
// (invariant 3).
func TestOpen_SmallerLimits(t *testing.T) {
	path := ringPath(t)
	batch := events(1, 50_000)
	r := open(t, path, replay.Options{})
	mustAppend(t, r, batch)
	for _, limits := range []struct {
		opts replay.Options
		want int
	}{
		{replay.Options{MaxEvents: 40_000}, 40_000},
		{replay.Options{MaxEvents: 60_000}, 40_000},
		{replay.Options{MaxBytes: 100 * (int64(batch[49_999].Size()) + replay.EventOverhead)}, 100},
		{replay.Options{MaxEvents: 1}, 1},
		{replay.Options{MaxAge: time.Nanosecond}, 0},
	} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = open(t, path, limits.opts)
		if got := r.Stats().Events; got > int64(limits.want) || got < int64(limits.want)*9/10 { // types differ in size
			t.Errorf("%+v: %d events, want %d", limits.opts, got, limits.want)
		}
		if got := all(t, r); diffEvents(batch[50_000-len(got):], got) != "" || r.Bounds().Head != batch[49_999].ID {
			t.Errorf("%+v: %d events, bounds %v", limits.opts, len(got), r.Bounds())
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, path)
}

// fileFactor is what the package promises: the file stays below this many times
// MaxBytes plus a fixed part, while the batches are at most an eighth of MaxBytes.
const (
	fileFactor = 2
	fileFixed  = 256 << 10
)

// TestRing_FileSize turns a ring over 20 times, with events of several sizes.
func TestRing_FileSize(t *testing.T) {
	t.Parallel()
	const maxBytes = 1 << 20
	for _, test := range []struct {
		name string
		size func() int
	}{
		{"empty", func() int { return 0 }},
		{"128_bytes", func() int { return 128 }},
		{"1000_bytes", func() int { return 1000 }},
		{"1500_bytes", func() int { return 1500 }},
		{"3000_bytes", func() int { return 3000 }},
		{"5000_bytes", func() int { return 5000 }},
		{"mixed", func() int { return rand.IntN(3000) }},
		{"few_large", func() int {
			if rand.IntN(50) == 0 {
				return 60_000
			}
			return 100
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := ringPath(t)
			r := open(t, path, replay.Options{MaxBytes: maxBytes, SyncInterval: time.Hour})
			turnover, largest := int64(0), int64(0)
			for seq := uint64(1); turnover < 21*maxBytes; {
				batch, cost := events(seq, seq), int64(0)
				for want := rand.Int64N(maxBytes / 8); cost < want; {
					e := broker.Event{ID: broker.ID{Seq: seq, Stamp: time.Now().UnixNano()}, Subject: "events.a", Data: make([]byte, test.size())}
					if seq == batch[0].ID.Seq {
						batch = batch[:0]
					}
					batch = append(batch, e)
					cost += int64(e.Size()) + replay.EventOverhead
					seq++
				}
				if cost == 0 {
					continue
				}
				mustAppend(t, r, batch)
				turnover += cost
				largest = max(largest, r.Stats().FileSize)
			}
			t.Logf("%d× turnover: largest file is %.2f × MaxBytes", turnover/maxBytes, float64(largest)/maxBytes)
			if largest > fileFactor*maxBytes+fileFixed {
				t.Errorf("file has %d bytes, MaxBytes is %d", largest, maxBytes)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			mustBeSound(t, path)
		})
	}
}

// TestRing_DiskFull: where the disk is full the ring becomes smaller, and goes on.
// The disk is bbolt's own limit of the file, which fails a commit in the same
// place as a full disk does.
func TestRing_DiskFull(t *testing.T) {
	path := ringPath(t)
	var log bytes.Buffer
	const diskSize = 4 << 20
	opts := replay.Options{
		MaxBytes: 2 * diskSize, // the disk is what limits
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
	}.WithMaxFile(diskSize)
	t.Run("evicts_older_half", func(t *testing.T) {
		r := open(t, path, opts)
		for seq := uint64(1); seq < 20*500; seq += 500 {
			batch := events(seq, seq+499)
			for i := range batch {
				batch[i].Data = make([]byte, 1000)
			}
			mustWrite(t, r, batch)
			if got := all(t, r); got[len(got)-1].ID != batch[499].ID || len(got) < 500 {
				t.Fatalf("after %d: %d events", seq, len(got))
			}
		}
		if size := r.Stats().FileSize; size > diskSize {
			t.Errorf("file has %d bytes", size)
		}
		if !strings.Contains(log.String(), "evicted the older half") {
			t.Errorf("log does not tell of it: %s", log.String())
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		mustBeSound(t, path)
	})
	t.Run("begins_a_new_file", func(t *testing.T) {
		r := open(t, path, opts)
		before := r.Bounds()
		large := events(before.Head.Seq+1, before.Head.Seq+1)
		large[0].Data = make([]byte, 2<<20) // needs as much contiguous space as the whole ring holds
		mustWrite(t, r, large)
		if diff := diffEvents(large, all(t, r)); diff != "" {
			t.Errorf("ring holds: %d events", len(all(t, r)))
		}
		if b := r.Bounds(); b.Floor != before.Head || b.Head != large[0].ID {
			t.Errorf("bounds %v, before %v", b, before)
		}
		if !strings.Contains(log.String(), "begins a new file") {
			t.Errorf("log does not tell of it: %s", log.String())
		}
	})
	t.Run("event_too_large_for_disk", func(t *testing.T) {
		r := open(t, ringPath(t), opts)
		batch := events(1, 10)
		mustWrite(t, r, batch[:9])
		batch[9].Data = make([]byte, 2*diskSize)
		mustWrite(t, r, batch[9:])
		// The event is evicted with all the others; the ring goes on with what fits.
		if b := r.Bounds(); !b.Empty() || b.Head != batch[9].ID {
			t.Errorf("bounds %v", b)
		}
		if !strings.Contains(log.String(), "not even the newest events fit it") {
			t.Errorf("log does not tell of it: %s", log.String())
		}
		more := events(11, 20)
		mustWrite(t, r, more)
		if diff := diffEvents(more, all(t, r)); diff != "" {
			t.Errorf("afterwards (want, got):\n%s", diff)
		}
	})
}
