package jetstream_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/jetstream"
)

func TestClient_EnsureStream(t *testing.T) {
	s := startServer(t)
	c, js := connect(t, s.ClientURL()), direct(t, s.ClientURL())
	ctx := testContext(t)
	remove := func(t *testing.T) {
		if err := js.DeleteStream(testContext(t), streamName); err != nil && !errors.Is(err, natsjs.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
	config := func(t *testing.T) natsjs.StreamConfig { return mustStream(t, js).CachedInfo().Config }

	t.Run("makes_what_is_missing", func(t *testing.T) {
		remove(t)
		ensure(t, c, func(cfg *jetstream.StreamConfig) {
			cfg.MaxAge, cfg.MaxBytes, cfg.MaxEvents = time.Minute, 1<<20, 1000
		})
		got := config(t)
		if got.MaxAge != time.Minute || got.MaxBytes != 1<<20 || got.MaxMsgs != 1000 || got.Duplicates != time.Minute ||
			got.Retention != natsjs.LimitsPolicy || got.Discard != natsjs.DiscardOld || got.Storage != natsjs.FileStorage ||
			!got.AllowDirect || !got.DenyDelete || got.MaxMsgsPerSubject != -1 {
			t.Errorf("made %+v", got)
		}
	})

	t.Run("leaves_an_existing_one_alone", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(cfg *natsjs.StreamConfig) {
			cfg.MaxMsgs, cfg.Subjects, cfg.Description = 7, []string{"events.>", "more.>"}, "theirs"
		})
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.MaxEvents = 99 })
		if got := config(t); got.MaxMsgs != 7 || len(got.Subjects) != 2 || got.Description != "theirs" {
			t.Errorf("changed to %+v", got)
		}
	})

	refusals := []struct {
		field  string
		change func(*natsjs.StreamConfig)
		says   string
	}{
		{"subjects", func(c *natsjs.StreamConfig) { c.Subjects = []string{"events.*", "other.>"} }, "events.>"},
		{"retention", func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy }, "Limits"},
		{"retention", func(c *natsjs.StreamConfig) { c.Retention = natsjs.InterestPolicy }, "Limits"},
		{"max_msgs_per_subject", func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 3 }, "is 3"},
		{"allow_rollup_hdrs", func(c *natsjs.StreamConfig) { c.AllowRollup = true }, "is true"},
		{"allow_msg_ttl", func(c *natsjs.StreamConfig) { c.AllowMsgTTL = true }, "is true"},
	}
	for _, r := range refusals {
		t.Run("refuses_"+r.field, func(t *testing.T) {
			remove(t)
			makeStream(t, js, r.change)
			err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
			wantError(t, err, jetstream.ErrConfig)
			var mismatch *jetstream.MismatchError
			if !errors.As(err, &mismatch) || mismatch.Field != r.field || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v, want a mismatch of %s that says %q", err, r.field, r.says)
			}
		})
	}

	t.Run("names_every_refusal", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Retention, c.MaxMsgsPerSubject = natsjs.InterestPolicy, 1 })
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
		if err == nil || !strings.Contains(err.Error(), "retention") || !strings.Contains(err.Error(), "max_msgs_per_subject") {
			t.Errorf("got %v, want both", err)
		}
	})

	t.Run("subjects_may_be_covered_in_parts", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Subjects = []string{"events.a.>", "events.b"} })
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.Subjects = []string{"events.a.*.x", "events.b"} })
	})

	t.Run("subjects_taken_by_another_stream", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Name = "OTHER" })
		defer func() { _ = js.DeleteStream(ctx, "OTHER") }()
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
		wantError(t, err, jetstream.ErrConfig)
	})

	t.Run("accepts_a_mirror", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Name = "ORIGIN" })
		defer func() { _ = js.DeleteStream(ctx, "ORIGIN") }()
		makeStream(t, js, func(c *natsjs.StreamConfig) {
			c.Subjects, c.Mirror = nil, &natsjs.StreamSource{Name: "ORIGIN"}
		})
		c := connect(t, s.ClientURL())
		ensure(t, c)
		ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.Manage = true })

		remove(t)
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
		wantError(t, err, jetstream.ErrStreamMissing) // a stream in its place would be another one
		if errors.Is(err, jetstream.ErrConfig) {
			t.Errorf("got %v, which is not for good", err)
		}
	})

	t.Run("refuses_a_mirror_of_a_part", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Name = "ORIGIN" })
		defer func() { _ = js.DeleteStream(ctx, "ORIGIN") }()
		makeStream(t, js, func(c *natsjs.StreamConfig) {
			c.Subjects, c.Mirror = nil, &natsjs.StreamSource{Name: "ORIGIN", FilterSubject: "events.a"}
		})
		err := connect(t, s.ClientURL()).EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
		wantError(t, err, jetstream.ErrConfig)
		remove(t)
	})

	t.Run("manages_only_what_differs", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) {
			c.Subjects, c.MaxMsgsPerSubject, c.AllowDirect, c.AllowRollup = []string{"old.>"}, 3, false, true
			c.Description, c.Discard, c.Duplicates = "theirs", natsjs.DiscardNew, time.Minute
		})
		ensure(t, c, func(cfg *jetstream.StreamConfig) {
			cfg.Manage, cfg.MaxAge, cfg.MaxBytes, cfg.MaxEvents = true, 30*time.Second, 1<<20, 500
		})
		got := config(t)
		if len(got.Subjects) != 1 || got.Subjects[0] != "events.>" || got.MaxMsgsPerSubject != -1 || !got.AllowDirect || got.AllowRollup ||
			got.MaxAge != 30*time.Second || got.MaxBytes != 1<<20 || got.MaxMsgs != 500 || got.Duplicates != 30*time.Second {
			t.Errorf("not changed as configured: %+v", got)
		}
		if got.Description != "theirs" || got.Discard != natsjs.DiscardNew {
			t.Errorf("changed what is not configured: %+v", got)
		}
	})

	t.Run("cannot_manage_everything", func(t *testing.T) {
		remove(t)
		makeStream(t, js, func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy })
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}, Manage: true})
		wantError(t, err, jetstream.ErrConfig)
	})

	t.Run("replicas_without_a_cluster", func(t *testing.T) {
		remove(t)
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}, Replicas: 3})
		wantError(t, err, jetstream.ErrConfig)
	})

	t.Run("bad_subject_or_name", func(t *testing.T) {
		for _, cfg := range []jetstream.StreamConfig{
			{Name: streamName, Subjects: []string{"events..x"}},
			{Name: streamName},
			{Subjects: []string{"events.>"}},
			{Name: "a.b", Subjects: []string{"events.>"}},
		} {
			wantError(t, c.EnsureStream(ctx, cfg), jetstream.ErrConfig)
		}
	})

	t.Run("disconnected_is_temporary", func(t *testing.T) {
		s.stop()
		err := c.EnsureStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
		wantError(t, err, jetstream.ErrDisconnected)
		if errors.Is(err, jetstream.ErrConfig) {
			t.Errorf("%v counts as permanent", err)
		}
	})
}

func TestClient_EnsureStream_without_JetStream(t *testing.T) {
	c := connect(t, plainServer(t, &server.Options{}))
	err := c.EnsureStream(testContext(t), jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}})
	wantError(t, err, jetstream.ErrConfig, jetstream.ErrNoJetStream)
}

// plainServer starts a NATS server as configured and returns its URL.
func plainServer(t testing.TB, opt *server.Options) string {
	t.Helper()
	opt.Host, opt.NoSigs, opt.NoLog = "127.0.0.1", true, true
	if opt.Port == 0 {
		opt.Port = -1
	}
	s, err := server.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("server is not ready")
	}
	return s.ClientURL()
}
