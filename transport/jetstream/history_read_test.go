package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// ahead is a stream of which the history has just read everything for one reader, so
// that the others' pages come out of its memory.
type ahead struct {
	s     *testServer
	c     *jetstream.Client
	js    natsjs.JetStream
	f     broker.Filter
	upTo  uint64
	stale []broker.Event // what was read
	// h is asked for pages, ids for ids: each has to find out for itself.
	h, ids *jetstream.History
}

func readAhead(t *testing.T, n int, change ...func(*jetstream.StreamConfig)) *ahead {
	t.Helper()
	s := startServer(t)
	a := &ahead{s: s, c: connect(t, s.ClientURL()), js: direct(t, s.ClientURL()), f: filter(t, []string{"events.>"})}
	ensure(t, a.c, change...)
	a.upTo = publish(t, a.c, "events.a", "old", n)
	a.warm(t)
	return a
}

func (a *ahead) warm(t *testing.T) {
	t.Helper()
	for _, h := range []**jetstream.History{&a.ids, &a.h} {
		*h = jetstream.NewHistory(a.c, jetstream.HistoryOptions{Stream: streamName})
		p, _, err := (*h).Read(testContext(t), 0, a.upTo, a.f, broker.Limits{Events: int(a.upTo), Bytes: 1 << 20})
		if err != nil || len(p.Events) != int(a.upTo) {
			t.Fatalf("%d events of %d, %v", len(p.Events), a.upTo, err)
		}
		a.stale = p.Events
	}
}

// read reads one page of at most n events and checks the floor.
func (a *ahead) read(t *testing.T, after uint64, n int, floor uint64) []broker.Event {
	t.Helper()
	p, found, err := a.h.Read(testContext(t), after, a.upTo, a.f, broker.Limits{Events: n, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if found.Seq != floor {
		t.Errorf("floor %s, want %d", found, floor)
	}
	return p.Events
}

func wantPayloads(t *testing.T, events []broker.Event, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events {
		got = append(got, string(e.Data))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// consumersMade calls f and returns how many consumers were made meanwhile.
func (a *ahead) consumersMade(t *testing.T, f func()) (n int) {
	t.Helper()
	made := make(chan *nats.Msg, 1000)
	sub, err := a.js.Conn().ChanSubscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED."+streamName+".*", made)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := a.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	f()
	// The last one is of the test's own: what comes before it is complete.
	last, err := mustStream(t, a.js).CreateConsumer(testContext(t), natsjs.ConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case msg := <-made:
			if msg.Subject == sub.Subject[:len(sub.Subject)-1]+last.CachedInfo().Name {
				return n
			}
			n++
		case <-testContext(t).Done():
			t.Fatal("no word of the consumer")
		}
	}
}

// Rule: what was read once is not asked for again by those who want the same.
func TestHistory_Read_shares(t *testing.T) {
	a := readAhead(t, 500)
	t.Run("what_was_read_before", func(t *testing.T) {
		made := a.consumersMade(t, func() {
			for after := uint64(0); after < a.upTo; after += 10 {
				wantPayloads(t, a.read(t, after, 10, 0), numbered("old", int(after), int(after)+10)...)
			}
		})
		if made != 0 {
			t.Errorf("%d consumers for what is there", made)
		}
	})
	t.Run("what_many_want_at_once", func(t *testing.T) {
		h := jetstream.NewHistory(a.c, jetstream.HistoryOptions{Stream: streamName})
		made := a.consumersMade(t, func() {
			var readers sync.WaitGroup
			for range 20 {
				readers.Go(func() {
					if seqs, _ := readAll(t, h, 0, a.upTo, a.f, broker.Limits{Events: 10, Bytes: 1 << 20}); len(seqs) != 500 {
						t.Errorf("%d events", len(seqs))
					}
				})
			}
			readers.Wait()
		})
		if made == 0 || made > 20 { // one reader's 10 events, then 20, 40, ..., not 50 pages for each
			t.Errorf("%d consumers for the same 500 events", made)
		}
	})
	t.Run("not_with_another_filter", func(t *testing.T) {
		for _, f := range []broker.Filter{filter(t, []string{"events.b"}), filter(t, []string{"events.>"}, "typed")} {
			if seqs, _ := readAll(t, a.h, 0, a.upTo, f, broker.Limits{Events: 10, Bytes: 1 << 20}); len(seqs) != 0 {
				t.Errorf("%d events that do not match", len(seqs))
			}
		}
	})
	t.Run("correct_without_memory", func(t *testing.T) {
		h := jetstream.NewHistory(a.c, jetstream.HistoryOptions{Stream: streamName, CacheBytes: 1})
		var readers sync.WaitGroup
		for range 5 {
			readers.Go(func() {
				if seqs, _ := readAll(t, h, 0, a.upTo, a.f, broker.Limits{Events: 100, Bytes: 1 << 20}); len(seqs) != 500 {
					t.Errorf("%d events", len(seqs))
				}
			})
		}
		readers.Wait()
	})
}

// Rule: what was read ahead is given to nobody once the stream says otherwise.
func TestHistory_Read_after_a_change(t *testing.T) {
	t.Run("purged", func(t *testing.T) {
		a := readAhead(t, 100)
		if err := mustStream(t, a.js).Purge(testContext(t)); err != nil {
			t.Fatal(err)
		}
		wantPayloads(t, a.read(t, 10, 10, 100))
	})
	t.Run("purged_in_part", func(t *testing.T) {
		a := readAhead(t, 100)
		if err := mustStream(t, a.js).Purge(testContext(t), natsjs.WithPurgeSequence(51)); err != nil {
			t.Fatal(err)
		}
		wantPayloads(t, a.read(t, 10, 10, 50))
		wantPayloads(t, a.read(t, 45, 10, 50), numbered("old", 50, 55)...)
		wantPayloads(t, a.read(t, 60, 2, 50), "old60", "old61")
		if id, ok, err := a.ids.At(testContext(t), 40); err != nil || ok {
			t.Errorf("purged, but there is %s, %v", id, err)
		}
	})
	t.Run("overtaken_by_retention", func(t *testing.T) {
		a := readAhead(t, 100, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 100 })
		publish(t, a.c, "events.a", "new", 60)
		wantPayloads(t, a.read(t, 10, 10, 60))
		wantPayloads(t, a.read(t, 60, 2, 60), "old60", "old61")
		publish(t, a.c, "events.a", "new", 200)
		wantPayloads(t, a.read(t, 60, 10, 260))
	})
	t.Run("made_again", func(t *testing.T) {
		a := readAhead(t, 100)
		if err := a.js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		ensure(t, a.c)
		publish(t, a.c, "events.a", "new", 110)
		a.checkAt(t, 15, false)
		wantPayloads(t, a.read(t, 10, 3, 0), "new10", "new11", "new12")
	})
	// The creation time stays, and so may the last sequence: the stamps alone tell.
	for _, n := range []int{30, 50, 70} {
		t.Run(fmt.Sprintf("rewound_and_%d_events_more", n), func(t *testing.T) {
			s := startServer(t)
			c := connect(t, s.ClientURL())
			ensure(t, c)
			publish(t, c, "events.a", "old", 50)
			s.stop()
			backup := copyOf(t, s.dir)
			s.start()
			publish(t, c, "events.a", "gone", 50)
			a := &ahead{c: c, f: filter(t, []string{"events.>"}), upTo: 100}
			a.warm(t)
			s.stop()
			restore(t, s.dir, backup)
			s.start()
			publish(t, c, "events.a", "new", n)

			a.checkAt(t, 60, false)
			a.checkAt(t, 40, true)
			wantPayloads(t, a.read(t, 48, 4, 0), "old48", "old49", "new0", "new1")
		})
	}
	t.Run("server_away", func(t *testing.T) {
		a := readAhead(t, 100)
		a.s.stop()
		_, _, err := a.h.Read(testContext(t), 10, 100, a.f, broker.Limits{Events: 10, Bytes: 1 << 20})
		wantError(t, err, broker.ErrUnavailable)
		_, _, err = a.ids.At(testContext(t), 15)
		wantError(t, err, broker.ErrUnavailable)
		a.s.start()
		ensure(t, a.c)
		a.checkAt(t, 15, true)
		wantPayloads(t, a.read(t, 10, 2, 0), "old10", "old11")
	})
}

// checkAt compares the stream's event with what was read ahead.
func (a *ahead) checkAt(t *testing.T, seq uint64, same bool) {
	t.Helper()
	id, ok, err := a.ids.At(testContext(t), seq)
	if err != nil || !ok {
		t.Fatalf("At(%d): %v, %v", seq, ok, err)
	}
	if stale := a.stale[seq-1].ID; (id == stale) != same {
		t.Errorf("At(%d) = %s, read ahead was %s", seq, id, stale)
	}
}

// Rule: whatever readers share, each gets every event in order, or is told by the floor
// that some are gone, while the stream grows, loses its oldest events and is purged, and
// while other readers leave in the middle of a question.
func TestHistory_Read_concurrent(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 2000 })
	const total = 6000
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName, CacheBytes: 256 << 10, Concurrency: 3})
	f := filter(t, []string{"events.>"})
	publish(t, c, "events.a", "", 100)

	var all sync.WaitGroup
	all.Go(func() {
		for i := 100; i < total; i++ {
			if _, err := js.PublishAsync("events.a", fmt.Appendf(nil, "%d", i)); err != nil {
				t.Error(err)
			}
			if i%500 == 0 {
				<-js.PublishAsyncComplete()
			}
			if i == total/2 {
				if err := mustStream(t, js).Purge(testContext(t)); err != nil {
					t.Error(err)
				}
			}
		}
		<-js.PublishAsyncComplete()
	})
	for i := range 12 {
		all.Go(func() {
			lim := broker.Limits{Events: 5 + 20*(i%4), Bytes: 64 << 10}
			for after := uint64(0); after < total && !t.Failed(); {
				if i%3 == 0 {
					leave(t, h, after, f, lim)
				}
				after = readOn(t, h, after, f, lim)
			}
		})
	}
	all.Wait()
}

// readOn reads a page as the broker does and returns the position after it.
func readOn(t *testing.T, h *jetstream.History, after uint64, f broker.Filter, lim broker.Limits) uint64 {
	ctx := testContext(t)
	b, err := h.Bounds(ctx)
	if err != nil {
		t.Error(err)
		return after
	}
	p, floor, err := h.Read(ctx, after, b.Head.Seq, f, lim)
	switch {
	case err != nil:
		t.Error(err)
		return after
	case floor.Seq > after:
		return floor.Seq
	}
	for i, e := range p.Events {
		if want := after + 1 + uint64(i); e.ID.Seq != want || string(e.Data) != fmt.Sprint(want-1) {
			t.Errorf("got %s %q, want %d", e.ID, e.Data, want)
		}
	}
	if n := uint64(len(p.Events)); after+n != p.Position.Seq {
		t.Errorf("%d events after %d up to %s", n, after, p.Position)
	}
	return p.Position.Seq
}

// leave asks for a page and goes away.
func leave(t *testing.T, h *jetstream.History, after uint64, f broker.Filter, lim broker.Limits) {
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() { cancel(); close(gone) }()
	if _, _, err := h.Read(ctx, after, after+1, f, lim); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-gone
}
