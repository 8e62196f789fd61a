package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// serveFiltered starts a gateway that serves a part of a stream. Its ring is small, so
// that it has to ask the stream for what is older.
func serveFiltered(t *testing.T, natsURL, filter string, args ...string) *brokerProcess {
	t.Helper()
	_, ready := serve(t, append([]string{"--data-dir", t.TempDir(), "--nats-url", natsURL, "--filter", filter, "--heartbeat", "1s"}, args...)...)
	return &brokerProcess{t: t, ready: ready}
}

// Three gateways share the events of a stream; a fourth has all of them. Ids mean the same
// on all, and each serves its part as the fourth does.
func TestServe_Filter(t *testing.T) {
	natsURL := externalNATS(t, t.TempDir(), -1).ClientURL()
	all := serveFiltered(t, natsURL, "")
	parts := map[string]*brokerProcess{}
	for _, part := range []string{"a", "b", "c"} {
		parts[part] = serveFiltered(t, natsURL, "events."+part+".>", "--ring-max-events", "100")
	}
	const n = 300
	published := make(chan error, len(parts))
	for part := range parts {
		go func() { published <- publishNumbers(natsURL, "events."+part+".x", 1, n, "") }()
	}
	for range parts {
		if err := <-published; err != nil {
			t.Fatal(err)
		}
	}
	for part, gate := range parts {
		subject := "events." + part + ".x"
		ids := all.wantFrom(subject, "0-0", 1, n)
		for _, known := range []int{1, n / 2, n - 1} { // to a part with an id of the whole, and back
			gate.wantFrom(subject, ids[known-1], known+1, n)
			got := gate.wantFrom("events."+part+".>", ids[0], 2, n)
			all.wantFrom(subject, got[known-1], known+2, n)
		}
	}
	natsConn, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer natsConn.Close()

	step(t, "an id of another stream is noticed where it would not be held", func(t *testing.T) {
		id := all.wantFrom("events.a.x", "0-0", 1, n)[n-2] // of part a, and so not in the ring of b
		sequence, _, _ := strings.Cut(id, "-")
		f := parts["b"].follow(url.Values{"subject": {"events.b.x"}, "last_event_id": {sequence + "-abc"}, "from": {"oldest"}})
		defer f.close()
		f.wantGap("reset")
		f.want(1, n, "")
	})

	step(t, "a quiet part follows the stream", func(t *testing.T) {
		f := parts["c"].follow(url.Values{"subject": {"events.c.quiet"}})
		if err := publishNumbers(natsURL, "events.a.x", n+1, 2*n, ""); err != nil {
			t.Fatal(err)
		}
		id := parts["c"].bookmark(f, fmt.Sprintf("%d-", 4*n))
		f.close()
		js, err := jetstream.New(natsConn)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		// The stream loses what came before: nobody in the quiet part misses anything.
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(4*n)); err != nil {
			t.Fatal(err)
		}
		parts["c"].publishAt("events.c.quiet", 1, 1)
		parts["c"].wantFrom("events.c.quiet", id, 1, 1)
		all.wantFrom("events.c.quiet", id, 1, 1)
	})

	step(t, "what is outside is refused", func(t *testing.T) {
		if status := parts["a"].publishOnce("events.b.x"); status != http.StatusBadRequest {
			t.Errorf("publishing is answered %d", status)
		}
		status, body := get(t, parts["a"].ready.URL+"v1/stream?subject=events.>")
		if status != http.StatusBadRequest || !strings.Contains(body, "outside the subjects served here") {
			t.Errorf("a stream is answered %d %s", status, body)
		}
	})
}

// The ring does not say what a filter left out, so another filter begins another ring.
func TestServe_Filter_changed(t *testing.T) {
	natsURL, data := externalNATS(t, t.TempDir(), -1).ClientURL(), t.TempDir()
	for i, filter := range []string{"events.a", "", "events.b", "events.b"} {
		p, ready := serve(t, "--data-dir", data, "--nats-url", natsURL, "--filter", filter)
		gate := &brokerProcess{t: t, ready: ready}
		awaitThat(t, "having caught up", func() bool { code, _ := get(t, ready.URL+"readyz"); return code == http.StatusOK })
		served := max(filter, "events.a")
		if i == 0 {
			gate.publishAt("events.a", 1, 20)
			if err := publishNumbers(natsURL, "events.b", 1, 20, ""); err != nil {
				t.Fatal(err)
			}
		}
		gate.wantFrom(served, "0-0", 1, 20)
		if emptied := strings.Contains(p.stderr.String(), "filled with another filter"); emptied != (i == 1 || i == 2) {
			t.Errorf("start %d: the ring was emptied: %t", i, emptied)
		}
		p.stop(t)
	}
}
