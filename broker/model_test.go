package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ringcast/broker"
)

// reader is one subscriber, with what it must have seen.
type reader struct {
	req    broker.Request
	sub    *broker.Subscription
	held   broker.ID // the last id it was given
	has    bool      // it was given one
	next   int       // index into world.stream.events of the first one it has not had
	placed bool      // next means something
}

// TestSubscription_Model checks promises 1, 2 and 4 against any order of
// publishing, lagging, evicting, expiring, rewinding, reading in pages and
// reconnecting with any id that was given: after a position a reader gets exactly
// the matching events that follow it, or is told of a gap.
func TestSubscription_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tail := broker.Limits{Events: rapid.IntRange(1, 10).Draw(t, "tail"), Bytes: 1 << 20}
		w := newWorld(broker.HubOptions{Tail: tail})
		subjects := []string{"a.1", "a.2", "b.1"}
		patterns := []string{"a.1", "a.*", ">", "b.1"}
		var readers []*reader
		defer func() {
			for _, r := range readers {
				r.sub.Close()
			}
		}()
		pick := func(t *rapid.T) *reader {
			if len(readers) == 0 {
				t.Skip("no reader")
			}
			return rapid.SampledFrom(readers).Draw(t, "reader")
		}

		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					w.publish(rapid.SampledFrom(subjects).Draw(t, "subject"))
				}
			},
			"deliver": w.deliverSome,
			"evict":   w.evictSome,
			"expire":  w.expireSome,
			"rewind": func(t *rapid.T) {
				from := rapid.Uint64Range(w.stream.floor, w.stream.head().Seq).Draw(t, "to")
				w.rewind(from)
				for _, r := range readers {
					if r.placed && r.next > len(w.stream.events) {
						r.placed = false // a gap has to be told
					}
				}
			},
			"open": func(t *rapid.T) {
				if len(readers) == 6 {
					t.Skip("enough readers")
				}
				r := &reader{req: broker.Request{
					Filter: filter(rapid.SampledFrom(patterns).Draw(t, "pattern")),
					From:   rapid.SampledFrom([]broker.From{broker.FromNow, broker.FromOldest}).Draw(t, "from"),
					Page:   broker.Limits{Events: rapid.IntRange(1, 5).Draw(t, "page")},
				}}
				r.sub = w.subscribe(r.req)
				readers = append(readers, r)
			},
			"read": func(t *rapid.T) { pick(t).read(t, w) },
			"reconnect": func(t *rapid.T) {
				r := pick(t)
				if !r.has {
					t.Skip("no id yet")
				}
				r.sub.Close()
				r.req.LastEventID = r.held.String()
				r.sub = w.subscribe(r.req)
			},
			"": func(t *rapid.T) {},
		})

		// In the end everybody gets everything.
		w.deliver(len(w.stream.events))
		for _, r := range readers {
			for range 1000 {
				if !r.read(t, w) {
					break
				}
			}
			if r.next != len(w.stream.events) {
				t.Fatalf("a reader of %q stands at %d of %d events", r.req.Filter.Subjects(), r.next, len(w.stream.events))
			}
		}
	})
}

// deliverSome, evictSome and expireSome are what happens to a log and a stream in the
// models.
func (w *world) deliverSome(t *rapid.T) { w.deliver(rapid.IntRange(1, 8).Draw(t, "n")) }

func (w *world) evictSome(t *rapid.T) {
	b := w.log.Bounds()
	w.log.evict(b.Floor.Seq + rapid.Uint64Range(0, b.Head.Seq-b.Floor.Seq).Draw(t, "n"))
}

// The source reads on in time: what retention takes it has read before.
func (w *world) expireSome(t *rapid.T) {
	w.stream.floor += rapid.Uint64Range(0, w.hub.Head().Seq-min(w.stream.floor, w.hub.Head().Seq)).Draw(t, "n")
}

// read takes one batch and checks it; it reports whether there is more.
func (r *reader) read(t *rapid.T, w *world) bool {
	b, ok := broker.Batch{}, false
	if rapid.Bool().Draw(t, "from memory") {
		b, ok = r.sub.TryNext()
	}
	var err error
	if !ok {
		b, err = r.sub.Next(context.Background())
	}
	switch {
	case err != nil:
		t.Fatalf("next: %v", err)
	case b.Pending:
		if r.has && r.held.Seq <= w.hub.Head().Seq {
			t.Fatalf("pending at %s although the log is at %s", r.held, w.hub.Head())
		}
		return false
	case b.Gap != nil:
		r.checkGap(t, w, b)
		r.next, r.placed = int(b.Gap.At.Seq), true
	case !r.placed && r.has && r.held.Seq > min(w.stream.floor, w.log.Bounds().Floor.Seq):
		t.Fatalf("no gap was told to a reader that held %s of a stream that was rewound", r.held)
	case !r.placed: // new, or the event it held has left and there is nothing to verify its id by
		r.next, r.placed = int(b.Start.Seq), true
	}
	end := max(r.next, int(b.Position.Seq))
	want := slices.Clone(w.stream.events[min(r.next, len(w.stream.events)):min(end, len(w.stream.events))])
	want = slices.DeleteFunc(want, func(e broker.Event) bool { return !r.req.Filter.MatchesSubject(e.Subject) })
	if diff := cmp.Diff(fmt.Sprint(eventIDs(want)), fmt.Sprint(ids(b.Events))); diff != "" {
		t.Fatalf("events of %q after %d up to %s (-want +got):\n%s", r.req.Filter.Subjects(), r.next, b.Position, diff)
	}
	r.next, r.held, r.has = end, b.Position, true
	return b.More
}

func eventIDs(events []broker.Event) []broker.ID {
	out := []broker.ID{}
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

// checkGap fails for a gap where nothing is missing.
func (r *reader) checkGap(t *rapid.T, w *world, b broker.Batch) {
	switch b.Gap.Reason {
	case broker.GapExpired:
		held := min(w.stream.floor, w.log.Bounds().Floor.Seq)
		if r.placed && uint64(r.next) >= held {
			t.Fatalf("told expired at %d although everything after %d is held", r.next, held)
		}
	case broker.GapReset:
		if n := len(w.stream.events); r.held.Seq == 0 || int(r.held.Seq) <= n && r.held == w.stream.events[r.held.Seq-1].ID {
			t.Fatalf("told reset at %s although nothing it had was rewound", r.held)
		}
	default:
		t.Fatalf("told %q", b.Gap.Reason)
	}
}
