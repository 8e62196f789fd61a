package jetstream_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

func TestClient_Publish(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ensure(t, c)
	ctx := testContext(t)

	t.Run("stores_what_it_acknowledges", func(t *testing.T) {
		ack, err := c.Publish(ctx, broker.Publication{Subject: "events.a", Data: []byte("x"), Type: "add", End: true, MsgID: "one"})
		if err != nil {
			t.Fatal(err)
		}
		m, err := mustStream(t, js).GetMsg(ctx, ack.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) != "x" || m.Subject != "events.a" || m.Header.Get("Ringcast-Event") != "add" ||
			m.Header.Get("Ringcast-End") != "true" || m.Header.Get("Nats-Msg-Id") != "one" {
			t.Errorf("stored %+v", m)
		}
	})
	t.Run("a_repeated_id_is_a_duplicate", func(t *testing.T) {
		first, err := c.Publish(ctx, broker.Publication{Subject: "events.a", MsgID: "twice"})
		if err != nil {
			t.Fatal(err)
		}
		second, err := c.Publish(ctx, broker.Publication{Subject: "events.a", MsgID: "twice"})
		if err != nil {
			t.Fatal(err)
		}
		if first.Duplicate || !second.Duplicate || second.Seq != first.Seq {
			t.Errorf("got %+v, then %+v", first, second)
		}
	})
	t.Run("one_MiB_fits", func(t *testing.T) {
		if _, err := c.Publish(ctx, broker.Publication{Subject: "events.a", Data: make([]byte, 1<<20), Type: strings.Repeat("t", broker.MaxTypeLen)}); err != nil {
			t.Error(err)
		}
	})
	t.Run("too_large_for_the_server", func(t *testing.T) {
		for _, data := range [][]byte{make([]byte, jetstream.EmbeddedMaxPayload+1), make([]byte, jetstream.EmbeddedMaxPayload)} {
			_, err := c.Publish(ctx, broker.Publication{Subject: "events.a", Data: data, Type: "header"})
			wantError(t, err, broker.ErrTooLarge)
		}
		if !c.Status().Connected {
			t.Error("the server has cut the connection")
		}
	})
	t.Run("too_large_for_the_stream", func(t *testing.T) {
		makeStream(t, js, func(cfg *natsjs.StreamConfig) {
			cfg.Name, cfg.Subjects, cfg.MaxMsgSize = "SMALL", []string{"small.>"}, 10
		})
		_, err := c.Publish(ctx, broker.Publication{Subject: "small.a", Data: bytes.Repeat([]byte("x"), 100)})
		wantError(t, err, broker.ErrTooLarge)
	})
	t.Run("no_stream_covers_the_subject", func(t *testing.T) {
		_, err := c.Publish(ctx, broker.Publication{Subject: "elsewhere.a"})
		wantError(t, err, broker.ErrNoStream)
	})
	t.Run("another_stream_covers_the_subject", func(t *testing.T) {
		makeStream(t, js, func(cfg *natsjs.StreamConfig) { cfg.Name, cfg.Subjects = "OTHER", []string{"other.>"} })
		_, err := c.Publish(ctx, broker.Publication{Subject: "other.a"})
		wantError(t, err, broker.ErrNoStream)
	})
	t.Run("invalid", func(t *testing.T) {
		for _, m := range []broker.Publication{
			{Subject: "events.*"}, {Subject: ""}, {Subject: "events. x"},
			{Subject: "events.a", Type: "ringcast.gap"}, {Subject: "events.a", Type: "a\nb"},
			{Subject: "events.a", MsgID: "a\r\nNats-Rollup: all"}, {Subject: "events.a", MsgID: strings.Repeat("x", 300)},
		} {
			_, err := c.Publish(ctx, m)
			wantError(t, err, jetstream.ErrInvalid)
		}
	})
	t.Run("unavailable_and_not_stored_later", func(t *testing.T) {
		before := mustStream(t, js).CachedInfo().State.LastSeq
		s.stop()
		awaitThat(t, "disconnect", func() bool { return !c.Status().Connected })
		_, err := c.Publish(ctx, broker.Publication{Subject: "events.a"})
		wantError(t, err, broker.ErrUnavailable)
		wantError(t, err, jetstream.ErrDisconnected)
		if errors.Is(err, broker.ErrNoStream) {
			t.Errorf("got %v", err)
		}
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected })
		ack, err := c.Publish(ctx, broker.Publication{Subject: "events.a"})
		if err != nil {
			t.Fatal(err)
		}
		if ack.Seq != before+1 {
			t.Errorf("stored as %d, want %d: the refused message was stored after all", ack.Seq, before+1)
		}
	})
}
