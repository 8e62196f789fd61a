package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

func numbered(prefix string, from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%s%d", prefix, i))
	}
	return out
}

func TestReader_Run(t *testing.T) {
	t.Run("copies_history_then_follows", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		publish(t, c, "events.a", "a", 50)
		sink := newSink()
		r, _ := run(t, c, sink)
		sink.awaitHead(t, 50)
		publish(t, c, "events.b", "b", 50)
		sink.awaitHead(t, 100)
		if diff := cmp.Diff(append(numbered("a", 0, 50), numbered("b", 0, 50)...), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if n := sink.resetCount(); n != 0 {
			t.Errorf("%d resets of a ring that lacked nothing", n)
		}
		awaitThat(t, "status", func() bool {
			st := r.Status()
			return st.CaughtUp && st.Lag == 0 && st.LastSeq == 100 && st.Position == 100 && st.Problem == ""
		})
	})

	t.Run("ids_are_the_streams", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		publish(t, c, "events.a", "a", 3)
		sink := newSink()
		run(t, c, sink)
		sink.awaitHead(t, 3)
		stream, err := js.Stream(testContext(t), streamName)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range sink.all() {
			m, err := stream.GetMsg(testContext(t), e.ID.Seq)
			if err != nil {
				t.Fatal(err)
			}
			if want := (broker.ID{Seq: m.Sequence, Stamp: m.Time.UnixNano()}); e.ID != want {
				t.Errorf("got id %s, want %s", e.ID, want)
			}
		}
	})

	t.Run("maps_headers_and_payloads", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		binary := []byte{0, 255, 13, 10, 0xc3, 0x28}
		header := func(kv ...string) nats.Header {
			h := nats.Header{}
			for i := 0; i < len(kv); i += 2 {
				h[kv[i]] = []string{kv[i+1]}
			}
			return h
		}
		msgs := []struct {
			msg  nats.Msg
			want broker.Event
		}{
			{nats.Msg{Data: []byte(" plain ")}, broker.Event{Data: []byte(" plain ")}},
			{nats.Msg{}, broker.Event{}},
			{nats.Msg{Data: binary}, broker.Event{Data: binary}},
			{nats.Msg{Data: big}, broker.Event{Data: big}},
			{nats.Msg{Data: big, Header: header("Ringcast-Event", "big")}, broker.Event{Data: big, Type: "big"}},
			{nats.Msg{Header: header("Ringcast-Event", "empty")}, broker.Event{Type: "empty"}},
			{nats.Msg{Header: header("ringcast-event", "lower", "ringcast-end", "true")}, broker.Event{Type: "lower", End: true}},
			{nats.Msg{Header: header("RINGCAST-EVENT", "upper")}, broker.Event{}},
			{nats.Msg{Header: header("Ringcast-End", "false")}, broker.Event{}},
			{nats.Msg{Header: header("Ringcast-End", "true")}, broker.Event{End: true}},
			{nats.Msg{Header: header("Ringcast-Event", "ringcast.gap")}, broker.Event{}},
			{nats.Msg{Header: header("Ringcast-Event", strings.Repeat("x", broker.MaxTypeLen+1))}, broker.Event{}},
			{nats.Msg{Header: header("Other", "header")}, broker.Event{}},
		}
		sink := newSink()
		r, _ := run(t, c, sink)
		for i, m := range msgs {
			m.msg.Subject = fmt.Sprintf("events.%d", i)
			if _, err := js.PublishMsg(testContext(t), &m.msg); err != nil {
				t.Fatal(err)
			}
		}
		sink.awaitHead(t, uint64(len(msgs)))
		for i, e := range sink.all() {
			want := msgs[i].want
			want.ID, want.Subject = e.ID, fmt.Sprintf("events.%d", i)
			if !bytes.Equal(e.Data, want.Data) || e.Type != want.Type || e.End != want.End || e.Subject != want.Subject {
				t.Errorf("event %d: got type %q end %v subject %q, %d bytes; want type %q end %v subject %q, %d bytes",
					i, e.Type, e.End, e.Subject, len(e.Data), want.Type, want.End, want.Subject, len(want.Data))
			}
		}
		if n := r.Status().InvalidTypes; n != 2 {
			t.Errorf("%d invalid types counted, want 2", n)
		}
	})

	t.Run("batches_are_bounded_in_bytes", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		const n = 30
		for range n {
			if _, err := c.Publish(testContext(t), broker.Publication{Subject: "events.big", Data: make([]byte, 1<<20)}); err != nil {
				t.Fatal(err)
			}
		}
		sink := newSink()
		run(t, c, sink, func(o *jetstream.ReaderOptions) { o.BatchBytes = 4 << 20 })
		sink.awaitHead(t, n)
		if most := slices.Max(sink.batches); most > 4 {
			t.Errorf("a batch had %d MiB, 4 are allowed", most)
		}
		if sink.resetCount() != 0 {
			t.Error("the sink was reset")
		}
	})

	t.Run("ends_with_its_context", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		_, stop := run(t, c, sink)
		publish(t, c, "events.a", "a", 1)
		sink.awaitHead(t, 1)
		stop()
		js := direct(t, s.ClientURL())
		for name := range mustStream(t, js).ConsumerNames(testContext(t)).Name() {
			t.Errorf("consumer %s was left behind", name)
		}
	})
}

func mustStream(t testing.TB, js natsjs.JetStream) natsjs.Stream {
	t.Helper()
	stream, err := js.Stream(testContext(t), streamName)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestReader_Resume(t *testing.T) {
	// A ring that was filled before, from which a new reader goes on.
	setup := func(t *testing.T, n int) (*testServer, *jetstream.Client, *memSink) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		publish(t, c, "events.a", "a", n)
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, uint64(n))
		stop()
		return s, c, sink
	}

	t.Run("goes_on_after_the_head", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		publish(t, c, "events.a", "b", 10)
		run(t, c, sink)
		sink.awaitHead(t, 20)
		if diff := cmp.Diff(append(numbered("a", 0, 10), numbered("b", 0, 10)...), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if sink.resetCount() != 0 {
			t.Error("the sink was reset")
		}
	})

	t.Run("is_caught_up_with_nothing_new", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		r, _ := run(t, c, sink)
		awaitThat(t, "caught up", func() bool { return r.Status().CaughtUp })
		if st := r.Status(); st.Position != 10 || st.Lag != 0 || sink.resetCount() != 0 {
			t.Errorf("status %+v, %d resets", st, sink.resetCount())
		}
	})

	t.Run("ring_ahead_of_stream_is_reset", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		sink.events[9].ID.Seq = 1000
		r, _ := run(t, c, sink)
		sink.await(t, "ten events again", func(s *memSink) bool { return len(s.resets) == 1 && len(s.events) == 10 })
		if st := r.Status(); st.Resets != 1 {
			t.Errorf("%d resets counted, want 1", st.Resets)
		}
	})

	t.Run("another_stamp_at_the_last_sequence_is_reset", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		sink.events[9].ID.Stamp--
		run(t, c, sink)
		sink.await(t, "reset", func(s *memSink) bool { return len(s.resets) == 1 && len(s.events) == 10 })
	})

	t.Run("another_stamp_below_the_last_sequence_is_reset", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		sink.events = sink.events[:5]
		sink.events[4].ID.Stamp--
		run(t, c, sink)
		sink.await(t, "reset", func(s *memSink) bool { return len(s.resets) == 1 && len(s.events) == 10 })
	})

	t.Run("a_floor_without_stamp_is_verified_by_sequence", func(t *testing.T) {
		_, c, sink := setup(t, 10)
		sink.events, sink.floor = nil, broker.ID{Seq: 4, Stamp: broker.NoStamp}
		run(t, c, sink)
		sink.awaitHead(t, 10)
		if diff := cmp.Diff(numbered("a", 4, 10), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if sink.resetCount() != 0 {
			t.Error("the sink was reset")
		}
	})

	t.Run("the_head_was_deleted", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		stream := makeStream(t, js)
		publish(t, c, "events.a", "a", 10)
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 10)
		stop()
		if err := stream.DeleteMsg(testContext(t), 10); err != nil {
			t.Fatal(err)
		}
		publish(t, c, "events.a", "b", 3)
		run(t, c, sink)
		sink.awaitHead(t, 13)
		if sink.resetCount() != 0 {
			t.Error("the sink was reset, though nothing is missing that it has not got")
		}
	})
}

func TestReader_Skip(t *testing.T) {
	s := startServer(t)
	c := connect(t, s.ClientURL())
	ensure(t, c)
	publish(t, c, "events.a", "a", 100)
	ring := func(n uint64) func(*jetstream.ReaderOptions) {
		return func(o *jetstream.ReaderOptions) { o.RingEvents = n }
	}

	t.Run("a_new_ring_gets_what_it_can_hold", func(t *testing.T) {
		sink := newSink()
		r, _ := run(t, c, sink, ring(30))
		sink.awaitHead(t, 100)
		if diff := cmp.Diff(numbered("a", 70, 100), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if sink.floor.Seq != 70 || sink.floor.Stamp == broker.NoStamp {
			t.Errorf("floor %s, want 70 with its stamp", sink.floor)
		}
		if st := r.Status(); st.Skipped != 0 || st.Resets != 0 || st.Overtaken != 0 {
			t.Errorf("a new ring counted as a loss: %+v", st)
		}
	})
	t.Run("a_larger_ring_gets_all", func(t *testing.T) {
		sink := newSink()
		run(t, c, sink, ring(100))
		sink.awaitHead(t, 100)
		if len(sink.payloads()) != 100 || sink.resetCount() != 0 {
			t.Errorf("%d events, %d resets", len(sink.payloads()), sink.resetCount())
		}
	})
	t.Run("an_old_ring_skips_ahead", func(t *testing.T) {
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 100)
		stop()
		sink.events = sink.events[:10]
		r, _ := run(t, c, sink, ring(30))
		sink.await(t, "the newest 30", func(s *memSink) bool { return s.headLocked().Seq == 100 && len(s.events) == 30 })
		if st := r.Status(); st.Skipped != 1 || st.Resets != 0 {
			t.Errorf("status %+v, want one skip", st)
		}
	})
}

func TestReader_Faults(t *testing.T) {
	t.Run("stream_deleted_and_made_again", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		log := &logBuffer{}
		r, _ := run(t, c, sink, func(o *jetstream.ReaderOptions) { o.Logger = log.logger() })
		publish(t, c, "events.a", "old", 20)
		sink.awaitHead(t, 20)
		if err := js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		ensure(t, c)
		publish(t, c, "events.a", "new", 5)
		sink.await(t, "the new stream", func(s *memSink) bool { return len(s.resets) == 1 && s.headLocked().Seq == 5 })
		if diff := cmp.Diff(numbered("new", 0, 5), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if st := r.Status(); st.Resets != 1 {
			t.Errorf("%d resets counted, want 1", st.Resets)
		}
		if n := strings.Count(log.String(), "replaced or rewound"); n != 1 {
			t.Errorf("%d warnings about it, want 1:\n%s", n, log)
		}
	})

	t.Run("stream_made_again_and_already_longer", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		_, stop := run(t, c, sink)
		publish(t, c, "events.a", "old", 20)
		sink.awaitHead(t, 20)
		stop()
		if err := js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		ensure(t, c)
		publish(t, c, "events.a", "new", 30)
		run(t, c, sink)
		sink.awaitHead(t, 30)
		if diff := cmp.Diff(numbered("new", 0, 30), sink.payloads()); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("stream_deleted_and_missing", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		r, _ := run(t, c, sink)
		publish(t, c, "events.a", "old", 3)
		sink.awaitHead(t, 3)
		if err := js.DeleteStream(testContext(t), streamName); err != nil {
			t.Fatal(err)
		}
		awaitThat(t, "the problem in the status", func() bool { return strings.Contains(r.Status().Problem, "does not exist") })
		ensure(t, c)
		publish(t, c, "events.a", "new", 1)
		sink.await(t, "the new stream", func(s *memSink) bool { return len(s.resets) == 1 && s.headLocked().Seq == 1 })
	})

	t.Run("missing_stream_is_made_by_the_hook", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		sink := newSink()
		r, _ := run(t, c, sink, func(o *jetstream.ReaderOptions) {
			o.Missing = func(ctx context.Context) error {
				return c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
			}
		})
		awaitThat(t, "caught up", func() bool { return r.Status().CaughtUp })
		publish(t, c, "events.a", "a", 1)
		sink.awaitHead(t, 1)
	})

	t.Run("store_rewound_to_an_older_copy", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		r, _ := run(t, c, sink)
		publish(t, c, "events.a", "kept", 10)
		sink.awaitHead(t, 10)
		s.stop()
		backup := copyOf(t, s.dir)
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		publish(t, c, "events.a", "lost", 10)
		sink.awaitHead(t, 20)
		s.stop()
		restore(t, s.dir, backup)
		s.start()
		sink.await(t, "rewound", func(s *memSink) bool { return len(s.resets) == 1 && s.headLocked().Seq == 10 })
		publish(t, c, "events.a", "new", 15)
		sink.awaitHead(t, 25)
		if diff := cmp.Diff(append(numbered("kept", 0, 10), numbered("new", 0, 15)...), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if st := r.Status(); st.Resets != 1 {
			t.Errorf("%d resets counted, want 1", st.Resets)
		}
	})

	t.Run("store_rewound_and_already_longer", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		publish(t, c, "events.a", "kept", 10)
		s.stop()
		backup := copyOf(t, s.dir)
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		publish(t, c, "events.a", "lost", 10)
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 20)
		stop()
		s.stop()
		restore(t, s.dir, backup)
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		publish(t, c, "events.a", "new", 25)
		run(t, c, sink)
		sink.awaitHead(t, 35)
		if diff := cmp.Diff(append(numbered("kept", 0, 10), numbered("new", 0, 25)...), sink.payloads()); diff != "" {
			t.Error(diff)
		}
		if n := sink.resetCount(); n != 1 {
			t.Errorf("%d resets, want 1", n)
		}
	})

	t.Run("retention_overtakes_the_running_reader", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 50 })
		sink := newSink()
		sink.gate = make(chan struct{})
		r, _ := run(t, c, sink, func(o *jetstream.ReaderOptions) { o.BatchEvents = 5 })
		publish(t, c, "events.a", "a", 1)
		<-sink.entered
		publish(t, c, "events.a", "b", 499)
		close(sink.gate)
		sink.awaitHead(t, 500)
		if st := r.Status(); st.Overtaken == 0 || st.Resets != 0 {
			t.Errorf("status %+v, want overtaken and no reset", st)
		}
		if sink.resetCount() == 0 {
			t.Error("the sink was not told")
		}
		assertContiguous(t, sink)
	})

	t.Run("retention_overtakes_the_stopped_reader", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 50 })
		publish(t, c, "events.a", "a", 20)
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 20)
		stop()
		publish(t, c, "events.a", "b", 100)
		r, _ := run(t, c, sink)
		sink.awaitHead(t, 120)
		if sink.floor.Seq != 70 || len(sink.payloads()) != 50 {
			t.Errorf("floor %s and %d events, want 70 and 50", sink.floor, len(sink.payloads()))
		}
		if st := r.Status(); st.Overtaken != 1 {
			t.Errorf("%d times overtaken, want 1", st.Overtaken)
		}
	})

	t.Run("retention_takes_exactly_what_was_read", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 50 })
		publish(t, c, "events.a", "a", 20)
		sink := newSink()
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 20)
		stop()
		publish(t, c, "events.a", "b", 50) // holds 21 to 70 now
		run(t, c, sink)
		sink.awaitHead(t, 70)
		if n := sink.resetCount(); n != 0 || len(sink.payloads()) != 70 {
			t.Errorf("%d resets and %d events: nothing was missing", n, len(sink.payloads()))
		}
	})

	t.Run("server_restarted", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		r, _ := run(t, c, sink)
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		s.stop()
		awaitThat(t, "the problem in the status", func() bool {
			return r.Status().Problem == jetstream.ErrDisconnected.Error() && !c.Status().Connected && c.Status().LastError != ""
		})
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		publish(t, c, "events.a", "b", 10)
		sink.awaitHead(t, 20)
		if n := sink.resetCount(); n != 0 {
			t.Errorf("%d resets", n)
		}
		assertContiguous(t, sink)
	})

	t.Run("server_restarted_with_nothing_left", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		run(t, c, sink)
		publish(t, c, "events.a", "old", 10)
		sink.awaitHead(t, 10)
		s.stop()
		restore(t, s.dir, t.TempDir())
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		ensure(t, c)
		publish(t, c, "events.a", "new", 2)
		sink.await(t, "the new stream", func(s *memSink) bool { return len(s.resets) == 1 && s.headLocked().Seq == 2 })
	})

	t.Run("consumer_deleted", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		r, _ := run(t, c, sink)
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		for name := range mustStream(t, js).ConsumerNames(testContext(t)).Name() {
			if err := js.DeleteConsumer(testContext(t), streamName, name); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, c, "events.a", "b", 10)
		sink.awaitHead(t, 20)
		assertContiguous(t, sink)
		if r.Status().Restarts == 0 {
			t.Error("no restart: this test did not delete the reader's consumer")
		}
	})

	t.Run("consumer_falls_silent", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		log := &logBuffer{}
		r, _ := run(t, c, sink, func(o *jetstream.ReaderOptions) { o.Logger = log.logger() })
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		// A paused consumer delivers nothing, and its heartbeats go on.
		for name := range mustStream(t, js).ConsumerNames(testContext(t)).Name() {
			if _, err := js.PauseConsumer(testContext(t), streamName, name, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, c, "events.a", "b", 10)
		sink.awaitHead(t, 20)
		assertContiguous(t, sink)
		if !strings.Contains(log.String(), "does not deliver") || r.Status().Restarts == 0 {
			t.Errorf("the consumer was not given up: %+v\n%s", r.Status(), log)
		}
	})

	t.Run("purged", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		_, stop := run(t, c, sink)
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		if err := mustStream(t, js).Purge(testContext(t)); err != nil {
			t.Fatal(err)
		}
		stop()
		r, _ := run(t, c, sink) // an empty stream whose last sequence is the head
		awaitThat(t, "caught up", func() bool { return r.Status().CaughtUp })
		publish(t, c, "events.a", "b", 10)
		sink.awaitHead(t, 20)
		if n := sink.resetCount(); n != 0 {
			t.Errorf("%d resets: what was purged had been read", n)
		}
	})

	t.Run("purged_and_the_ring_is_new", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		ensure(t, c)
		last := publish(t, c, "events.a", "a", 10)
		stream := mustStream(t, js)
		m, err := stream.GetMsg(testContext(t), last)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(testContext(t)); err != nil {
			t.Fatal(err)
		}
		sink := newSink()
		r, _ := run(t, c, sink)
		awaitThat(t, "caught up", func() bool { return r.Status().CaughtUp })
		if want := (broker.ID{Seq: 10, Stamp: m.Time.UnixNano()}); sink.Head() != want {
			t.Errorf("head %s, want %s", sink.Head(), want)
		}
		publish(t, c, "events.a", "b", 2)
		sink.awaitHead(t, 12)
	})

	t.Run("interior_events_deleted", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		stream := makeStream(t, js)
		publish(t, c, "events.a", "a", 10)
		for _, seq := range []uint64{3, 4, 7} {
			if err := stream.DeleteMsg(testContext(t), seq); err != nil {
				t.Fatal(err)
			}
		}
		sink := newSink()
		run(t, c, sink)
		sink.awaitHead(t, 10)
		if n := sink.resetCount(); n != 0 || len(sink.payloads()) != 7 {
			t.Errorf("%d resets and %d events, want 0 and 7", n, len(sink.payloads()))
		}
	})

	t.Run("last_events_deleted_before_they_were_read", func(t *testing.T) {
		s := startServer(t)
		c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
		stream := makeStream(t, js)
		publish(t, c, "events.a", "a", 10)
		for _, seq := range []uint64{9, 10} {
			if err := stream.DeleteMsg(testContext(t), seq); err != nil {
				t.Fatal(err)
			}
		}
		sink := newSink()
		r, _ := run(t, c, sink)
		awaitThat(t, "caught up", func() bool { st := r.Status(); return st.CaughtUp && st.Lag == 0 })
		restarts := r.Status().Restarts
		publish(t, c, "events.a", "b", 1)
		sink.awaitHead(t, 11)
		if st := r.Status(); st.Restarts != restarts || sink.resetCount() != 0 {
			t.Errorf("taken for a stuck consumer: %+v", st)
		}
	})

	t.Run("sink_is_corrupt", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		r, _ := run(t, c, sink)
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		sink.mu.Lock()
		sink.err = fmt.Errorf("read page: %w", broker.ErrCorrupt)
		sink.mu.Unlock()
		publish(t, c, "events.a", "b", 1)
		sink.await(t, "refilled", func(s *memSink) bool { return len(s.resets) == 1 && len(s.events) == 11 })
		if r.Status().Resets != 1 {
			t.Errorf("status %+v", r.Status())
		}
	})

	t.Run("sink_fails_for_a_while", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		sink := newSink()
		sink.err = os.ErrPermission
		run(t, c, sink)
		publish(t, c, "events.a", "a", 10)
		sink.awaitHead(t, 10)
		assertContiguous(t, sink)
		if sink.resetCount() != 0 {
			t.Error("the sink was reset")
		}
	})
}

// assertContiguous checks that no sequence is missing between the sink's events.
func assertContiguous(t testing.TB, s *memSink) {
	t.Helper()
	events := s.all()
	for i := range events[1:] {
		if events[i+1].ID.Seq != events[i].ID.Seq+1 {
			t.Errorf("%s follows %s", events[i+1].ID, events[i].ID)
		}
	}
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func restore(t testing.TB, dir, from string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
