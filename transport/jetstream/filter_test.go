package jetstream_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/jetstream"
)

func filtered(subjects ...string) func(*jetstream.ReaderOptions) {
	return func(o *jetstream.ReaderOptions) { o.Filter = subjects }
}

// matching returns the payloads of the events of a subject, and whether all others are
// marks: without payload and type.
func (s *memSink) matching(subject string) (payloads []string, marksOnly bool) {
	marksOnly = true
	for _, e := range s.all() {
		if e.Subject == subject {
			payloads = append(payloads, string(e.Data))
		} else if len(e.Data) > 0 || e.Type != "" || e.End {
			marksOnly = false
		}
	}
	return payloads, marksOnly
}

// Only what matches comes, and the head goes on to the end of the stream all the same.
func TestReader_filter(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c)
	sink := newSink()
	r, stop := run(t, c, sink, filtered("events.a", "events.c"))
	for i := range 50 {
		publish(t, c, "events.a", fmt.Sprint("a", i, "-"), 1)
		publish(t, c, "events.b", "b", 3)
	}
	sink.awaitHead(t, 200)
	awaitThat(t, "having caught up", func() bool { return r.Status().CaughtUp })
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("a%d-0", i))
	}
	got, marksOnly := sink.matching("events.a")
	if diff := cmp.Diff(want, got); diff != "" || !marksOnly {
		t.Errorf("marks only: %t, events differ (-want +got):\n%s", marksOnly, diff)
	}
	if st := r.Status(); st.Lag != 0 || st.Resets+st.Overtaken+st.Skipped+st.Restarts != 0 {
		t.Errorf("status %+v", st)
	}
	e, err := mustStream(t, js).GetMsg(testContext(t), 200)
	if head := sink.Head(); err != nil || head.Stamp != e.Time.UnixNano() {
		t.Errorf("the head is %s, want the stream's event at %v, %v", head, e.Time, err)
	}

	// From a mark it goes on where it was.
	stop()
	publish(t, c, "events.b", "b", 5)
	publish(t, c, "events.a", "more", 2)
	r, stop = run(t, c, sink, filtered("events.a", "events.c"))
	sink.awaitHead(t, 207)
	if got, _ := sink.matching("events.a"); !slices.Equal(got, append(want, "more0", "more1")) || sink.resetCount() != 0 {
		t.Errorf("got %q after %d resets", got[50:], sink.resetCount())
	}
	publish(t, c, "events.b", "b", 3)
	sink.awaitHead(t, 210)

	// From a mark of a stream that was made again it does not.
	stop()
	if err := js.DeleteStream(testContext(t), streamName); err != nil {
		t.Fatal(err)
	}
	makeStream(t, js)
	publish(t, c, "events.a", "new", 220)
	r, _ = run(t, c, sink, filtered("events.a", "events.c"))
	sink.awaitHead(t, 220)
	if got, _ := sink.matching("events.a"); !slices.Equal(got, numbered("new", 0, 220)) || r.Status().Resets != 1 {
		t.Errorf("%d events, status %+v", len(got), r.Status())
	}
}

// What retention takes before it is read is told, also where it did not match: nobody can
// know any more.
func TestReader_filter_overtaken(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	makeStream(t, js, func(cfg *natsjs.StreamConfig) { cfg.MaxMsgs = 100 })
	sink := newSink()
	sink.gate = make(chan struct{})
	r, _ := run(t, c, sink, filtered("events.a"))
	publish(t, c, "events.a", "first", 1)
	<-sink.entered // the sink holds the reader up
	for range 100 {
		publish(t, c, "events.a", "a", 1)
		publish(t, c, "events.b", "b", 2)
	}
	publish(t, c, "events.a", "last", 1)
	close(sink.gate)
	sink.awaitHead(t, 302)
	if st := r.Status(); st.Overtaken != 1 || sink.resetCount() != 1 {
		t.Errorf("status %+v, %d resets", st, sink.resetCount())
	}
	floor := sink.resets[0].Seq
	for i, e := range sink.all() {
		if e.ID.Seq <= floor || i > 0 && e.Subject == "events.a" && e.ID.Seq > sink.all()[i-1].ID.Seq+3 {
			t.Fatalf("%s is out of place after a floor of %d", e.ID, floor)
		}
	}
}

// A reader that begins at the oldest event of a stream from which retention takes as fast
// as it reads is told of it, and gets on.
func TestReader_filter_from_a_full_stream(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	makeStream(t, js, func(cfg *natsjs.StreamConfig) { cfg.MaxMsgs = 200 })
	publish(t, c, "events.b", "b", 200)
	stop, stopped := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() {
		var err error
		for n := 0; err == nil && stop.Err() == nil; n++ {
			subject := "events.b"
			if n%50 == 0 {
				subject = "events.a"
			}
			_, err = js.Publish(context.Background(), subject, nil)
		}
		done <- err
	}()
	sink := newSink()
	run(t, c, sink, filtered("events.a"))
	seen := map[uint64]bool{} // the sink forgets when it is reset
	sink.await(t, "events", func(s *memSink) bool {
		for _, e := range s.events {
			if e.Subject == "events.a" {
				seen[e.ID.Seq] = true
			}
		}
		return len(seen) >= 5
	})
	stopped()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
