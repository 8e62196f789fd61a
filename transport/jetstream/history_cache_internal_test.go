package jetstream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
)

func newTestFilter(t *testing.T, subjects ...string) broker.Filter {
	t.Helper()
	f, err := broker.NewFilter(subjects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// testStretch has every tenth event after sequence after.
func testStretch(f broker.Filter, after uint64, events, size int, generation uint64) *stretch {
	s := newStretch(f, after, generation)
	for i := range events {
		s.take(scanned{event: broker.Event{ID: testID(after + uint64(i+1)*10), Subject: "a", Data: make([]byte, size)}})
	}
	return s
}

func testID(seq uint64) broker.ID { return broker.ID{Seq: seq, Stamp: int64(seq) * 1000} }

func TestStretch_page(t *testing.T) {
	f := newTestFilter(t, "a")
	open := testStretch(f, 100, 5, 9, 1) // 110, 120, ... 150, the last one looked at
	done := testStretch(f, 100, 5, 9, 1)
	done.end = broker.ID{Seq: 200, Stamp: broker.NoStamp}
	bare := func(seq uint64) broker.ID { return broker.ID{Seq: seq, Stamp: broker.NoStamp} }
	large := broker.Limits{Events: 100, Bytes: 1000}

	for _, test := range []struct {
		name        string
		s           *stretch
		after, upTo uint64
		lim         broker.Limits
		want        []uint64
		position    broker.ID
		more, leads bool
	}{
		{"all", open, 100, 1000, large, []uint64{110, 120, 130, 140, 150}, testID(150), true, true},
		{"from_within", open, 125, 1000, large, []uint64{130, 140, 150}, testID(150), true, true},
		{"from_an_event", open, 130, 1000, large, []uint64{140, 150}, testID(150), true, true},
		{"up_to_within", open, 100, 125, large, []uint64{110, 120}, bare(125), false, true},
		{"up_to_an_event", open, 100, 120, large, []uint64{110, 120}, bare(120), false, true},
		{"between_events", open, 111, 115, large, nil, bare(115), false, true},
		{"limited_in_events", open, 100, 1000, broker.Limits{Events: 2, Bytes: 1000}, []uint64{110, 120}, testID(120), true, true},
		{"limited_in_bytes", open, 100, 1000, broker.Limits{Events: 9, Bytes: 25}, []uint64{110, 120}, testID(120), true, true},
		{"at_least_one", open, 100, 1000, broker.Limits{Events: 9, Bytes: 1}, []uint64{110}, testID(110), true, true},
		{"limit_and_end_together", open, 100, 120, broker.Limits{Events: 2, Bytes: 1000}, []uint64{110, 120}, bare(120), false, true},
		{"begins_before", open, 99, 1000, large, nil, broker.ID{}, false, false},
		{"begins_at_the_end", open, 150, 1000, large, nil, broker.ID{}, false, false},
		{"stream_has_no_more", done, 100, 200, large, []uint64{110, 120, 130, 140, 150}, bare(200), false, true},
		{"nothing_left", done, 150, 190, large, nil, bare(190), false, true},
		{"position_that_can_be_verified", done, 120, 300, large, []uint64{130, 140, 150}, testID(150), true, true},
		{"no_position_that_can_be_verified", done, 150, 300, large, nil, broker.ID{}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if leads := test.s.leads(test.after, test.upTo); leads != test.leads {
				t.Fatalf("leads on: %v, want %v", leads, test.leads)
			}
			if !test.leads {
				return
			}
			p := test.s.page(test.after, test.upTo, test.lim)
			var got []uint64
			for _, e := range p.Events {
				got = append(got, e.ID.Seq)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || p.Position != test.position || p.More != test.more {
				t.Errorf("position %s, want %s, more %v, want %v: %s", p.Position, test.position, p.More, test.more, diff)
			}
		})
	}
}

// cacheOf returns a cache of a stream that was seen once, with its head at 1,000.
func cacheOf(maxBytes int) (c *cache, generation uint64) {
	c = &cache{maxBytes: maxBytes}
	return c, c.seen(testID(1000), false)
}

// Rule: what nobody reads any more is let go.
func TestCache_expire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFilter(t, "a")
		c, g := cacheOf(1 << 20)
		check := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if n := len(c.stretches); n != want || (n == 0) != (c.bytes == 0) || (n == 0) != (c.expiry == nil) {
				t.Errorf("%d stretches of %d bytes, want %d", n, c.bytes, want)
			}
		}
		c.add(testStretch(f, 100, 5, 1, g))
		check(cacheAge/2, 1)
		c.add(testStretch(f, 200, 5, 1, g))
		check(cacheAge/2-1, 2)
		check(1, 1)
		check(cacheAge/2, 0)
		c.add(testStretch(f, 100, 5, 1, g))
		check(0, 1)
		c.seen(testID(500), false)
		check(cacheAge, 0)
	})
}

func TestCache(t *testing.T) {
	f, other := newTestFilter(t, "a"), newTestFilter(t, "a", "b")

	t.Run("finds_the_one_that_goes_furthest", func(t *testing.T) {
		c, g := cacheOf(1 << 20)
		short, long := testStretch(f, 100, 10, 1, g), testStretch(f, 150, 10, 1, g)
		c.add(long)
		c.add(short)
		c.add(testStretch(other, 150, 50, 1, g))
		for after, want := range map[uint64]*stretch{99: nil, 100: short, 149: short, 150: long, 249: long, 250: nil} {
			if got := c.stretch(f, after, 1000); got != want {
				t.Errorf("after %d: %+v", after, got)
			}
		}
	})
	t.Run("knows_who_reads_on", func(t *testing.T) {
		c, g := cacheOf(1 << 20)
		s := testStretch(f, 100, 10, 1, g)
		c.add(s)
		for after, want := range map[uint64]*stretch{100: nil, 101: s, 200: s, 201: nil} {
			if got, _ := c.before(f, after); got != want {
				t.Errorf("before %d: %+v", after, got)
			}
		}
		if got, _ := c.before(other, 200); got != nil {
			t.Error("a stretch of another filter")
		}
	})
	t.Run("drops_the_oldest_beyond_its_bounds", func(t *testing.T) {
		one := testStretch(f, 0, 10, 100, 0).bytes
		c, g := cacheOf(3 * one)
		for i := range 5 {
			c.add(testStretch(f, uint64(i)*100, 10, 100, g))
		}
		for i := range 5 {
			if kept := c.stretch(f, uint64(i)*100, 1000) != nil; kept != (i >= 2) {
				t.Errorf("stretch %d: kept %v", i, kept)
			}
		}
		c.add(testStretch(f, 0, 80, 100, g)) // larger than all together
		if c.stretch(f, 0, 1000) != nil || c.bytes != 3*one {
			t.Errorf("%d bytes of %d", c.bytes, 3*one)
		}
		for i := range 2 * cacheStretches {
			c.add(newStretch(f, uint64(i), g))
		}
		if n := len(c.stretches); n != min(cacheStretches, 3*one/eventOverhead) {
			t.Errorf("%d stretches", n)
		}
	})
	t.Run("drops_everything_of_another_stream", func(t *testing.T) {
		c, g := cacheOf(1 << 20)
		late := testStretch(f, 200, 10, 1, g)
		c.add(testStretch(f, 100, 10, 1, g))
		if c.seen(testID(2000), true) != g || c.stretch(f, 100, 1000) == nil {
			t.Error("dropped though the stream is the same")
		}
		if next := c.seen(testID(500), false); next == g || c.newest() != testID(500) {
			t.Errorf("generation %d, anchor %s", next, c.newest())
		}
		c.add(late)
		if c.stretch(f, 100, 1000) != nil || c.stretch(f, 200, 1000) != nil || c.bytes != 0 {
			t.Error("the other stream's events are kept")
		}
	})
	// What a look verifies must lie at or beyond all that is kept.
	t.Run("anchor_is_beyond_what_is_kept", func(t *testing.T) {
		c, g := cacheOf(1 << 20)
		c.add(testStretch(f, 1000, 5, 1, g))
		if c.newest() != testID(1050) {
			t.Errorf("anchor %s, want that of the newest event read", c.newest())
		}
		if c.seen(testID(1020), true); c.newest() != testID(1050) { // asked for before the stretch was read
			t.Errorf("anchor %s", c.newest())
		}
		empty := newStretch(f, 1050, g)
		empty.end = broker.ID{Seq: 1100, Stamp: broker.NoStamp}
		c.add(empty)
		if c.stretch(f, 1050, 1100) != nil {
			t.Error("kept what nothing known lies beyond")
		}
	})
	t.Run("gets_what_is_sparse", func(t *testing.T) {
		c, g := cacheOf(1 << 20)
		sparse := func(after uint64, events int) *stretch {
			s := newStretch(f, 0, g)
			s.sparse = true
			for _, e := range testStretch(f, after, events, 1, g).events {
				s.take(scanned{event: e})
			}
			return s
		}
		c.add(testStretch(f, 500, 5, 1, g))
		c.add(sparse(100, 5))
		if c.stretch(f, 100, 1000) != nil {
			t.Error("a page of what has holes")
		}
		if before, _ := c.before(f, 120); before != nil {
			t.Error("nobody reads on from what has holes")
		}
		got, _ := c.get([]uint64{110, 115, 140, 150, 160}, 4)
		if len(got) != 4 || got[0].ID != testID(110) || got[1] != nil || got[2].ID != testID(140) || got[3].ID != testID(150) {
			t.Errorf("got %v", got)
		}
		c.add(sparse(130, 5))
		if got, _ := c.get([]uint64{110, 180}, 4); got[0] != nil || got[1].ID != testID(180) || len(c.stretches) != 2 {
			t.Errorf("got %v of %d stretches, want the second alone", got, len(c.stretches))
		}
		if got, _ := c.get([]uint64{110, 510}, 4); got != nil {
			t.Errorf("got %v where there is none", got)
		}
	})
	t.Run("gives_a_turn_to_one", func(t *testing.T) {
		c, _ := cacheOf(1 << 20)
		first, mine := c.take(f, 5)
		if !mine {
			t.Fatal("not mine")
		}
		if same, mine := c.take(f, 5); mine || same != first {
			t.Error("two turns for the same")
		}
		for _, another := range []struct {
			f     broker.Filter
			after uint64
		}{{f, 6}, {other, 5}} {
			if _, mine := c.take(another.f, another.after); !mine {
				t.Error("no turn for another place or filter")
			}
		}
		c.finish(first)
		<-first.done
		if next, mine := c.take(f, 5); !mine || next == first {
			t.Error("no turn after the first")
		}
	})
}
