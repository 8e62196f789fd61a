package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ringcast/broker"
)

// At most one event a subject and interval, the newest; and the first after a quiet
// time at once.
func TestSubscription_Conflate(t *testing.T) {
	const interval = 100 * time.Millisecond
	start := func(t *testing.T, from broker.From) (*world, *broker.Subscription) {
		w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 100, Bytes: 1 << 20}})
		for _, subject := range []string{"a", "b", "a"} {
			w.say(subject)
		}
		sub := w.subscribe(broker.Request{Filter: filter("a", "b"), From: from, Conflate: interval})
		t.Cleanup(sub.Close)
		return w, sub
	}
	// arrives waits for a round and returns when that was.
	arrives := func(t *testing.T, sub *broker.Subscription, want ...broker.ID) time.Time {
		t.Helper()
		for {
			<-sub.Ready() // which may be for nothing
			_, events, _, err := drain(sub)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) > 0 {
				if diff := cmp.Diff(want, ids(events)); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				return time.Now()
			}
		}
	}

	t.Run("rounds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, sub := start(t, broker.FromNow)
			expect(t, sub, nil)
			time.Sleep(42 * time.Millisecond)
			begun := time.Now()
			first := w.say("a")
			if at := arrives(t, sub, first); at != begun {
				t.Errorf("the first event came after %s", at.Sub(begun))
			}
			w.say("a")
			other := w.say("b")
			w.say("c")
			newest := w.say("a")
			for range 3 { // what comes before the round is due does not begin it
				expect(t, sub, nil)
			}
			second := arrives(t, sub, other, newest)
			if after := second.Sub(begun); after < interval || after >= 2*interval {
				t.Errorf("the second round came %s after the first", after)
			}
			for range 3 {
				w.say("b")
				last := w.say("b")
				expect(t, sub, nil)
				third := arrives(t, sub, last)
				if after := third.Sub(second); after != interval {
					t.Errorf("a round came %s after the one before", after)
				}
				second = third
			}
			time.Sleep(10 * interval)
			quiet, now := w.say("a"), time.Now()
			if at := arrives(t, sub, quiet); at != now {
				t.Errorf("after a quiet time an event came after %s", at.Sub(now))
			}
		})
	})
	t.Run("a quiet subject is not forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, sub := start(t, broker.FromNow)
			expect(t, sub, nil)
			arrives(t, sub, w.say("a"))
			only := w.say("b") // and nothing after it
			arrives(t, sub, only)
		})
	})
	t.Run("after the last values", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, sub := start(t, broker.FromLast)
			expect(t, sub, nil, broker.ID{Seq: 2, Stamp: w.log.events[1].ID.Stamp}, w.hub.Head())
			begun := time.Now()
			x := w.say("a")
			expect(t, sub, nil)
			if at := arrives(t, sub, x); at.Sub(begun) < interval {
				t.Errorf("a second value came after %s", at.Sub(begun))
			}
		})
	})
	t.Run("resumed", func(t *testing.T) {
		w, sub := start(t, broker.FromNow)
		expect(t, sub, nil)
		id := w.say("a")
		b := w.say("b")
		for range 500 { // more than are in memory
			w.say("a")
		}
		newest := w.say("a")
		again := w.subscribe(broker.Request{Filter: filter("a", "b"), LastEventID: id.String(), Conflate: interval})
		defer again.Close()
		expect(t, again, nil, b, newest)
		// The id of any event in a round is one to go on from.
		third := w.subscribe(broker.Request{Filter: filter("a", "b"), LastEventID: b.String(), Conflate: interval})
		defer third.Close()
		expect(t, third, nil, newest)
	})
	t.Run("from the history, page by page", func(t *testing.T) {
		w, _ := start(t, broker.FromNow)
		a, b := w.say("a"), w.say("b")
		w.log.evict(b.Seq)
		sub := w.subscribe(broker.Request{Filter: filter("a", "b"), From: broker.FromOldest, Conflate: interval})
		defer sub.Close()
		expect(t, sub, nil, a, b)
		w.stream.floor = b.Seq
		old := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: "1", Conflate: interval})
		defer old.Close()
		expect(t, old, []broker.GapReason{broker.GapExpired})
	})
	t.Run("a round is not mixed with another subscription's", func(t *testing.T) {
		w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 100, Bytes: 1 << 20}})
		req := broker.Request{
			Filter: filter("a.*"), From: broker.FromOldest, Conflate: time.Hour, Page: broker.Limits{Events: 1},
		}
		first, second := w.say("a.1"), w.say("a.2")
		sub := w.subscribe(req)
		defer sub.Close()
		if b, err := sub.Next(context.Background()); err != nil || len(b.Events) != 1 || b.Position != first {
			t.Fatalf("got %+v, %v", b, err)
		}
		w.say("a.1")
		req.LastEventID = first.String()
		newer := w.subscribe(req) // stands where sub does, in a round that has a.1 again
		defer newer.Close()
		if b, err := newer.Next(context.Background()); err != nil || len(b.Events) != 1 {
			t.Fatalf("got %+v, %v", b, err)
		}
		expect(t, sub, nil, second)
	})
	t.Run("the end of a subject", func(t *testing.T) {
		w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 100, Bytes: 1 << 20}})
		sub := w.subscribe(broker.Request{Filter: filter("a"), Conflate: time.Nanosecond})
		defer sub.Close()
		expect(t, sub, nil)
		w.say("a")
		end := w.say("a", func(e *broker.Event) { e.End = true })
		if last := expect(t, sub, nil, end); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		typed, err := broker.NewFilter([]string{"a"}, []string{"add"})
		if err != nil {
			t.Fatal(err)
		}
		for _, req := range []broker.Request{{Filter: typed, Conflate: 1}, {Filter: filter("a"), Conflate: -1}} {
			if _, err := w.hub.Subscribe(req); err == nil {
				t.Errorf("%+v was taken", req)
			}
		}
	})
}

// Those of a feed who stand at the same position share the pages of a round.
func TestSubscription_ConflateShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 1000, Bytes: 1 << 20}})
		var subs []*broker.Subscription
		for range 3 {
			sub := w.subscribe(broker.Request{Filter: filter("a.*"), Conflate: time.Second, Page: broker.Limits{Events: 10}})
			defer sub.Close()
			expect(t, sub, nil)
			subs = append(subs, sub)
		}
		for i := range 100 {
			w.say(fmt.Sprintf("a.%d", i%25))
		}
		w.log.corrupt = true // whoever reads it fails
		made := 0
		encode := func(b []byte, events []*broker.Delivery) []byte {
			made++
			return fmt.Append(b, eventsOf(events))
		}
		for _, sub := range subs {
			<-sub.Ready()
			var seqs []uint64
			for more := true; more; {
				batch, ok := sub.TryNext()
				if !ok {
					t.Fatal("not in memory")
				}
				if len(batch.Events) > 0 {
					if _, ok := batch.Encoded(0, encode); !ok {
						t.Error("a page is not shared")
					}
				}
				seqs, more = append(seqs, eventsOf(batch.Events)...), batch.More
			}
			if len(seqs) != 25 || seqs[0] != 76 || seqs[24] != 100 {
				t.Errorf("got %d, want 76 to 100", seqs)
			}
		}
		if made != 3 {
			t.Errorf("%d pages were encoded, want 3", made)
		}
	})
}

func eventsOf(events []*broker.Delivery) []uint64 {
	var seqs []uint64
	for _, e := range events {
		seqs = append(seqs, e.ID.Seq)
	}
	return seqs
}

// Whatever happens, a subscriber that conflates ends up with the newest event of
// every subject, in the order of ids, and is told where it cannot know.
func TestSubscription_ConflateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: rapid.IntRange(1, 10).Draw(t, "tail"), Bytes: 1 << 20}})
		subjects := []string{"a.1", "a.2", "a.3", "b.1"}
		req := func(t *rapid.T) broker.Request {
			return broker.Request{
				Filter: filter(rapid.SampledFrom([]string{"a.*", ">", "a.1"}).Draw(t, "pattern")),
				From:   broker.FromOldest, Conflate: time.Nanosecond, Page: broker.Limits{Events: 2},
			}
		}
		type reader struct {
			req    broker.Request
			sub    *broker.Subscription
			held   broker.ID
			newest map[string]broker.ID
			gap    bool
		}
		var readers []*reader
		for range 3 {
			r := &reader{req: req(t), newest: map[string]broker.ID{}}
			r.sub = w.subscribe(r.req)
			readers = append(readers, r)
		}
		defer func() {
			for _, r := range readers {
				r.sub.Close()
			}
		}()
		read := func(r *reader) (more bool) {
			b, err := next(r.sub)
			switch {
			case err != nil:
				t.Fatalf("next: %v", err)
			case b.Pending:
				return false
			case b.Gap != nil:
				r.gap, r.held = true, b.Position
				return b.More
			}
			for _, e := range b.Events {
				if e.ID.Seq <= r.held.Seq {
					t.Fatalf("got %s after %s", e.ID, r.held)
				}
				r.held, r.newest[e.Subject] = e.ID, e.ID
			}
			if b.Position.Seq < r.held.Seq {
				t.Fatalf("at %s after %s", b.Position, r.held)
			}
			r.held = b.Position
			return b.More
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { w.publish(rapid.SampledFrom(subjects).Draw(t, "subject")) },
			"deliver": w.deliverSome,
			"evict":   w.evictSome,
			"expire":  w.expireSome,
			"read":    func(t *rapid.T) { read(rapid.SampledFrom(readers).Draw(t, "reader")) },
			"reconnect": func(t *rapid.T) {
				r := rapid.SampledFrom(readers).Draw(t, "reader")
				r.sub.Close()
				r.req.LastEventID = r.held.String()
				r.sub = w.subscribe(r.req)
			},
			"": func(*rapid.T) {},
		})
		w.deliver(len(w.stream.events))
		for _, r := range readers {
			for n := 0; read(r) || r.held.Seq < w.hub.Head().Seq; n++ {
				if n == 10_000 {
					t.Fatalf("stuck at %s of %s", r.held, w.hub.Head())
				}
			}
			for _, e := range w.stream.held() {
				if id := r.newest[e.Subject]; r.req.Filter.MatchesSubject(e.Subject) && id.Seq < e.ID.Seq {
					t.Fatalf("the newest of %s that a reader of %q has is %s, want %s (gap told: %t)",
						e.Subject, r.req.Filter.Subjects(), id, e.ID, r.gap)
				}
			}
			if _, err := r.sub.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
