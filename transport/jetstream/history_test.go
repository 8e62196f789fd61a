package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

func filter(t testing.TB, subjects []string, types ...string) broker.Filter {
	t.Helper()
	f, err := broker.NewFilter(subjects, types)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readAll reads page by page and returns the sequences of the events.
func readAll(t testing.TB, h *jetstream.History, after, upTo uint64, f broker.Filter, lim broker.Limits) (seqs []uint64, pages int) {
	t.Helper()
	for more := true; more; pages++ {
		p, _, err := h.Read(testContext(t), after, upTo, f, lim)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Events) > lim.Events {
			t.Fatalf("a page of %d events, %d are allowed", len(p.Events), lim.Events)
		}
		for _, e := range p.Events {
			seqs = append(seqs, e.ID.Seq)
			if e.ID.Seq <= after || e.ID.Seq > p.Position.Seq || e.ID.Stamp <= 0 {
				t.Fatalf("event %s lies outside (%d, %s]", e.ID, after, p.Position)
			}
		}
		if p.More && p.Position.Seq <= after {
			t.Fatalf("position %s after %d: no progress", p.Position, after)
		}
		if p.More && p.Position.Stamp == broker.NoStamp {
			t.Fatalf("position %s cannot be verified", p.Position)
		}
		if !p.More && p.Position != (broker.ID{Seq: upTo, Stamp: broker.NoStamp}) {
			t.Fatalf("a complete page is at %s, want %d", p.Position, upTo)
		}
		after, more = p.Position.Seq, p.More
	}
	return seqs, pages
}

func TestHistory_Read(t *testing.T) {
	s := startServer(t)
	c := connect(t, s.ClientURL())
	ensure(t, c)
	ctx := testContext(t)
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	// 300 events: subjects events.<i%5>.<i%3>, every tenth of type "ten".
	subject := func(i int) string { return fmt.Sprintf("events.%d.%d", i%5, i%3) }
	for i := 1; i <= 300; i++ {
		m := broker.Publication{Subject: subject(i), Data: fmt.Appendf(nil, "%d", i), MsgID: fmt.Sprint(i)}
		if i%10 == 0 {
			m.Type = "ten"
		}
		if _, err := c.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	matching := func(after, upTo uint64, f broker.Filter) (seqs []uint64) {
		for i := after + 1; i <= upTo; i++ {
			typ := ""
			if i%10 == 0 {
				typ = "ten"
			}
			if f.MatchesSubject(subject(int(i))) && f.MatchesType(typ) {
				seqs = append(seqs, i)
			}
		}
		return seqs
	}
	filters := map[string]broker.Filter{
		"all":              filter(t, []string{">"}),
		"one_subject":      filter(t, []string{"events.1.1"}),
		"overlapping":      filter(t, []string{"events.*.1", "events.2.*"}),
		"overlapping_tail": filter(t, []string{"events.*.2", "events.3.>", "events.4.0"}),
		"type":             filter(t, []string{"events.>"}, "ten"),
		"default_type":     filter(t, []string{"events.0.*"}, broker.DefaultType),
		"nothing":          filter(t, []string{"events.nobody"}),
		"outside":          filter(t, []string{"elsewhere.>", "events.1.0"}),
	}
	ranges := []struct{ after, upTo uint64 }{{0, 300}, {0, 1}, {99, 200}, {299, 300}, {300, 300}, {200, 100}}
	limits := []broker.Limits{{Events: 1000, Bytes: 1 << 20}, {Events: 7, Bytes: 1 << 20}, {Events: 1000, Bytes: 100}, {Events: 1000, Bytes: 1}}
	for name, f := range filters {
		t.Run(name, func(t *testing.T) {
			for _, r := range ranges {
				for _, lim := range limits {
					want := matching(r.after, r.upTo, f)
					if lim.Bytes == 1 && len(want) > 20 {
						continue // a page for each event: enough of that with fewer
					}
					got, _ := readAll(t, h, r.after, r.upTo, f, lim)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("after %d up to %d, limits %+v: %s", r.after, r.upTo, lim, diff)
					}
				}
			}
		})
	}

	t.Run("leaves_no_consumer_behind", func(t *testing.T) {
		js := direct(t, s.ClientURL())
		for name := range mustStream(t, js).ConsumerNames(testContext(t)).Name() {
			t.Errorf("consumer %s", name)
		}
	})

	t.Run("an_event_larger_than_the_limit_comes_alone", func(t *testing.T) {
		last := publish(t, c, "events.big", "x", 1)
		for range 3 {
			ack, err := c.Publish(ctx, broker.Publication{Subject: "events.big", Data: make([]byte, 1<<20)})
			if err != nil {
				t.Fatal(err)
			}
			last = ack.Seq
		}
		got, pages := readAll(t, h, 300, last, filter(t, []string{"events.big"}), broker.Limits{Events: 100, Bytes: 1000})
		if len(got) != 4 || pages != 4 {
			t.Errorf("got %v in %d pages", got, pages)
		}
	})
}

func TestHistory_Bounds(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ctx := testContext(t)
	ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 10 })
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	check := func(floor, head uint64, floorStamp bool) {
		t.Helper()
		b, err := h.Bounds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.Floor.Seq != floor || b.Head.Seq != head || (b.Floor.Stamp != broker.NoStamp) != floorStamp {
			t.Errorf("bounds %s to %s, want %d to %d", b.Floor, b.Head, floor, head)
		}
		if id, ok, err := h.At(ctx, head); err != nil || ok && id != b.Head {
			t.Errorf("head %s, but At says %s, %v", b.Head, id, err)
		}
	}
	check(0, 0, true)
	publish(t, c, "events.a", "a", 5)
	check(0, 5, true)
	publish(t, c, "events.a", "a", 20)
	check(15, 25, false)

	t.Run("Read_tells_the_floor", func(t *testing.T) {
		p, floor, err := h.Read(ctx, 3, 25, filter(t, []string{">"}), broker.Limits{Events: 100, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if floor.Seq != 15 || len(p.Events) != 10 || p.Events[0].ID.Seq != 16 {
			t.Errorf("floor %s, %d events", floor, len(p.Events))
		}
	})
	t.Run("purged", func(t *testing.T) {
		if err := mustStream(t, js).Purge(ctx); err != nil {
			t.Fatal(err)
		}
		check(25, 25, true)
		p, floor, err := h.Read(ctx, 3, 25, filter(t, []string{">"}), broker.Limits{Events: 100, Bytes: 1 << 20})
		if err != nil || floor.Seq != 25 || len(p.Events) != 0 || p.Position.Seq != 25 {
			t.Errorf("floor %s, page %+v, %v", floor, p, err)
		}
	})
}

func TestHistory_lookups(t *testing.T) {
	s := startServer(t)
	c := connect(t, s.ClientURL())
	ensure(t, c)
	ctx := testContext(t)
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	for i := range 30 {
		m := broker.Publication{Subject: fmt.Sprintf("events.%d", i%10), Data: fmt.Appendf(nil, "%d", i), Type: "t", End: i == 29}
		if _, err := c.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("At", func(t *testing.T) {
		p, _, err := h.Read(ctx, 0, 30, filter(t, []string{">"}), broker.Limits{Events: 100, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Events {
			if id, ok, err := h.At(ctx, e.ID.Seq); err != nil || !ok || id != e.ID {
				t.Errorf("At(%d) = %s, %v, %v, want %s", e.ID.Seq, id, ok, err, e.ID)
			}
		}
		for _, seq := range []uint64{0, 31, 1 << 60} {
			if id, ok, err := h.At(ctx, seq); ok || err != nil {
				t.Errorf("At(%d) = %s, %v, %v", seq, id, ok, err)
			}
		}
	})
	t.Run("LastOf", func(t *testing.T) {
		id, end, ok, err := h.LastOf(ctx, "events.3")
		if err != nil || !ok || end || id.Seq != 24 {
			t.Errorf("events.3: %s, %v, %v, %v", id, end, ok, err)
		}
		if id, end, ok, err = h.LastOf(ctx, "events.9"); err != nil || !ok || !end || id.Seq != 30 {
			t.Errorf("events.9: %s, %v, %v, %v", id, end, ok, err)
		}
		if _, _, ok, err = h.LastOf(ctx, "events.nobody"); err != nil || ok {
			t.Errorf("events.nobody: %v, %v", ok, err)
		}
	})
	t.Run("Seek", func(t *testing.T) {
		for _, seq := range []uint64{1, 2, 15, 30} {
			id, _, err := h.At(ctx, seq)
			if err != nil {
				t.Fatal(err)
			}
			at, err := h.Seek(ctx, id.Time())
			if err != nil || at.Seq != seq-1 {
				t.Errorf("Seek(time of %d) = %s, %v", seq, at, err)
			}
		}
		at, err := h.Seek(ctx, time.Now().Add(-time.Hour))
		if err != nil || at != (broker.ID{}) {
			t.Errorf("Seek(an hour ago) = %s, %v, want 0-0", at, err)
		}
		at, err = h.Seek(ctx, time.Now().Add(time.Hour))
		if err != nil || at.Seq != 30 || at.Stamp == broker.NoStamp {
			t.Errorf("Seek(in an hour) = %s, %v, want the head", at, err)
		}
	})
	t.Run("Get", func(t *testing.T) {
		seqs := func(events []broker.Event) (out []uint64) {
			for _, e := range events {
				out = append(out, e.ID.Seq)
			}
			return out
		}
		want := []uint64{30, 1, 99, 17, 2, 3, 4, 5, 6, 7, 8, 9}
		events, next, err := h.Get(ctx, want, broker.Limits{Events: 100, Bytes: 1 << 20})
		if err != nil || next != len(want) || !slices.Equal(seqs(events), []uint64{30, 1, 17, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("got %v, %d, %v", seqs(events), next, err)
		}
		if e := events[0]; string(e.Data) != "29" || e.Subject != "events.9" || e.Type != "t" || !e.End {
			t.Errorf("got %+v", e)
		}
		events, next, err = h.Get(ctx, want, broker.Limits{Events: 2, Bytes: 1 << 20})
		if err != nil || !slices.Equal(seqs(events), []uint64{30, 1}) || next < 2 || next > 3 {
			t.Errorf("limited to two: %v, %d, %v", seqs(events), next, err)
		}
		events, next, err = h.Get(ctx, want, broker.Limits{Events: 100, Bytes: 1})
		if err != nil || !slices.Equal(seqs(events), []uint64{30}) || next != 1 {
			t.Errorf("limited to a byte: %v, %d, %v", seqs(events), next, err)
		}
	})
}

func TestHistory_Last(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c)
	ctx := testContext(t)
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	// Two rounds over many subjects: the first has sequences 1 to n, the second n+1 to 2n.
	const n = 2500
	for range 2 {
		for i := range n {
			if _, err := js.PublishAsync(fmt.Sprintf("events.%d.%d", i%2, i), []byte("x")); err != nil {
				t.Fatal(err)
			}
			if i%500 != 0 && i != n-1 { // more on the way at a time is an error of the client's on a busy machine
				continue
			}
			select {
			case <-js.PublishAsyncComplete():
			case <-ctx.Done():
				t.Fatal("publishing does not end")
			}
		}
	}
	sequence := func(from, to uint64) (out []uint64) {
		for i := from; i <= to; i++ {
			out = append(out, i)
		}
		return out
	}
	all := filter(t, []string{"events.>"})
	for _, test := range []struct {
		name string
		f    broker.Filter
		upTo uint64
		want []uint64
	}{
		{"newest_of_all", all, 2 * n, sequence(n+1, 2*n)},
		{"beyond_the_head", all, 1 << 50, sequence(n+1, 2*n)},
		{"all_have_newer_ones", all, n, nil},
		{"some_have_newer_ones", all, n + 100, sequence(n+1, n+100)},
		{"one_subject", filter(t, []string{"events.1.7"}), 2 * n, []uint64{n + 8}},
		{"one_subject_with_a_newer_one", filter(t, []string{"events.1.7"}), n + 7, nil},
		{"overlapping", filter(t, []string{"events.*.7", "events.0.*", "events.1.9"}), n + 10, []uint64{n + 1, n + 3, n + 5, n + 7, n + 8, n + 9, n + 10}},
		{"nothing", filter(t, []string{"events.nobody"}), 2 * n, nil},
		{"as_of_nothing", all, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := h.Last(ctx, test.f, test.upTo, n)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("too_many", func(t *testing.T) {
		_, err := h.Last(ctx, all, 2*n, n-1)
		wantError(t, err, broker.ErrTooMany)
		if errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%v counts as unavailable", err)
		}
	})
}

func TestHistory_unavailable(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c)
	publish(t, c, "events.a", "a", 3)
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	f, lim := filter(t, []string{"events.>"}), broker.Limits{Events: 10, Bytes: 1000}
	questions := map[string]func(context.Context) error{
		"Bounds": func(ctx context.Context) error { _, err := h.Bounds(ctx); return err },
		"Read":   func(ctx context.Context) error { _, _, err := h.Read(ctx, 0, 3, f, lim); return err },
		"At":     func(ctx context.Context) error { _, _, err := h.At(ctx, 1); return err },
		"Seek":   func(ctx context.Context) error { _, err := h.Seek(ctx, time.Now()); return err },
		"Last":   func(ctx context.Context) error { _, err := h.Last(ctx, f, 3, 10); return err },
		"LastOf": func(ctx context.Context) error { _, _, _, err := h.LastOf(ctx, "events.a"); return err },
		"Get":    func(ctx context.Context) error { _, _, err := h.Get(ctx, []uint64{1}, lim); return err },
	}
	all := func(t *testing.T, check func(t *testing.T, ask func(context.Context) error)) {
		for name, ask := range questions {
			t.Run(name, func(t *testing.T) { check(t, ask) })
		}
	}
	t.Run("answers", func(t *testing.T) {
		all(t, func(t *testing.T, ask func(context.Context) error) {
			if err := ask(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("cancelled_by_the_caller", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		all(t, func(t *testing.T, ask func(context.Context) error) {
			err := ask(ctx)
			wantError(t, err, context.Canceled)
			if errors.Is(err, broker.ErrUnavailable) {
				t.Errorf("%v blames the stream", err)
			}
		})
	})
	t.Run("streamgone", func(t *testing.T) {
		if err := js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		all(t, func(t *testing.T, ask func(context.Context) error) {
			wantError(t, ask(testContext(t)), broker.ErrUnavailable)
		})
	})
	t.Run("server_stopped", func(t *testing.T) {
		s.stop()
		all(t, func(t *testing.T, ask func(context.Context) error) {
			wantError(t, ask(testContext(t)), broker.ErrUnavailable)
		})
	})
	t.Run("server_back", func(t *testing.T) {
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		ensure(t, c)
		publish(t, c, "events.a", "a", 3)
		all(t, func(t *testing.T, ask func(context.Context) error) {
			if err := ask(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	})
}

// Rule: no more questions at a time than allowed; who waits too long is told
// that the history is unavailable.
func TestHistory_Concurrency(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c)
	publish(t, c, "events.a", "a", 200)
	const bound = 2
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName, Concurrency: bound})

	// A question for a page has one consumer while it lasts: their number is what is
	// bounded. Each reader has a filter of its own, so that none shares another's page.
	stream := mustStream(t, js)
	stop, watched := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		for {
			select {
			case <-stop:
				watched <- most
				return
			default:
			}
			info, err := stream.Info(context.Background())
			if err == nil {
				most = max(most, info.State.Consumers)
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 10 * bound {
		wg.Go(func() {
			for j := range 10 {
				f := filter(t, []string{"events.>"}, broker.DefaultType, fmt.Sprintf("reader-%d-%d", i, j))
				if p, _, err := h.Read(testContext(t), 0, 200, f, broker.Limits{Events: 500, Bytes: 1 << 20}); err != nil || len(p.Events) != 200 {
					t.Errorf("%d events, %v", len(p.Events), err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if most := <-watched; most == 0 || most > bound {
		t.Errorf("%d consumers at a time, want 1 to %d", most, bound)
	}

	t.Run("waiting_is_bounded", func(t *testing.T) {
		h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName, Timeout: time.Nanosecond})
		_, err := h.Bounds(testContext(t))
		wantError(t, err, broker.ErrUnavailable)
	})
}
