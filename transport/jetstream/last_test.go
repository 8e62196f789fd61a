package jetstream_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// lastRig is a stream of one event for each of n subjects, whose sequences Last has
// just told.
type lastRig struct {
	c    *jetstream.Client
	js   natsjs.JetStream
	h    *jetstream.History
	seqs []uint64
}

func startLast(t *testing.T, n, size int) *lastRig {
	t.Helper()
	s := startServer(t)
	r := &lastRig{c: connect(t, s.ClientURL()), js: direct(t, s.ClientURL())}
	ensure(t, r.c)
	r.publish(t, "old", n, size)
	r.h = jetstream.NewHistory(r.c, jetstream.HistoryOptions{Stream: streamName})
	var err error
	r.seqs, err = r.h.Last(testContext(t), filter(t, []string{"events.>"}), uint64(n), n)
	if err != nil || len(r.seqs) != n || !slices.IsSorted(r.seqs) {
		t.Fatalf("%d of %d subjects, %v", len(r.seqs), n, err)
	}
	return r
}

func (r *lastRig) publish(t *testing.T, prefix string, n, size int) {
	t.Helper()
	for i := range n {
		data := append(fmt.Appendf(nil, "%s%d", prefix, i), make([]byte, size)...)
		if _, err := r.c.Publish(testContext(t), broker.Publication{Subject: fmt.Sprint("events.", i), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
}

// getAll gets every event page by page.
func (r *lastRig) getAll(t *testing.T, h *jetstream.History) (events []broker.Event) {
	t.Helper()
	for seqs := r.seqs; len(seqs) > 0; {
		page, next, err := h.Get(testContext(t), seqs, broker.Limits{Events: 7, Bytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		events, seqs = append(events, page...), seqs[next:]
	}
	return events
}

// asked returns how many events the stream was asked for one by one during f.
func (r *lastRig) asked(t *testing.T, f func()) int {
	t.Helper()
	questions := make(chan *nats.Msg, 10_000)
	sub, err := r.js.Conn().ChanSubscribe("$JS.API.STREAM.MSG.GET."+streamName, questions)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := r.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	f()
	if err := r.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	return len(questions)
}

// Rule: what Last has read, Get does not ask for again.
func TestHistory_Get_after_Last(t *testing.T) {
	r := startLast(t, 100, 10)
	check := func(events []broker.Event) {
		t.Helper()
		for i, e := range events {
			if want := fmt.Sprint("old", i); e.ID.Seq != r.seqs[i] || e.Subject != fmt.Sprint("events.", i) || string(e.Data[:len(want)]) != want {
				t.Errorf("event %d: %s %s %q", i, e.ID, e.Subject, e.Data)
			}
		}
		if len(events) != 100 {
			t.Errorf("%d events of 100", len(events))
		}
	}
	if n := r.asked(t, func() { check(r.getAll(t, r.h)) }); n != 0 {
		t.Errorf("asked for %d events", n)
	}
	other := jetstream.NewHistory(r.c, jetstream.HistoryOptions{Stream: streamName})
	if n := r.asked(t, func() { check(r.getAll(t, other)) }); n == 0 {
		t.Error("no question seen where Last has read nothing: the test sees none")
	}
}

// Rule: what is too much to be kept is found all the same.
func TestHistory_Last_larger_than_what_is_kept(t *testing.T) {
	r := startLast(t, 100, 100<<10)
	events := r.getAll(t, r.h)
	for i, e := range events {
		if e.ID.Seq != r.seqs[i] || len(e.Data) < 100<<10 {
			t.Errorf("event %d: %s of %d bytes", i, e.ID, len(e.Data))
		}
	}
	if len(events) != 100 {
		t.Errorf("%d events of 100", len(events))
	}
}

// Rule: what Last has read is given to nobody once the stream says otherwise.
func TestHistory_Get_after_a_change(t *testing.T) {
	t.Run("purged_in_part", func(t *testing.T) {
		r := startLast(t, 20, 0)
		if err := mustStream(t, r.js).Purge(testContext(t), natsjs.WithPurgeSequence(16)); err != nil {
			t.Fatal(err)
		}
		wantPayloads(t, r.getAll(t, r.h), numbered("old", 15, 20)...)
	})
	t.Run("made_again", func(t *testing.T) {
		r := startLast(t, 20, 0)
		if err := r.js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		ensure(t, r.c)
		r.publish(t, "new", 25, 0)
		wantPayloads(t, r.getAll(t, r.h), numbered("new", 0, 20)...)
	})
	t.Run("newer_events", func(t *testing.T) {
		r := startLast(t, 20, 0)
		r.publish(t, "new", 10, 0)
		seqs, err := r.h.Last(testContext(t), filter(t, []string{"events.>"}), 30, 20)
		if err != nil {
			t.Fatal(err)
		}
		wantPayloads(t, r.getAll(t, r.h), numbered("old", 0, 20)...) // of the snapshot that was begun
		r.seqs = seqs
		wantPayloads(t, r.getAll(t, r.h), append(numbered("old", 10, 20), numbered("new", 0, 10)...)...)
	})
}
