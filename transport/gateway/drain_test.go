package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a gateway that drains owes its clients: those that are left still get their
// events, who comes is served, balancers are told, and every stream is cut so that its
// client comes back, later than others.
func TestDrain(t *testing.T) {
	const streams = 400 // two seconds' worth
	r := newRig(t, func(o *rigOptions) { o.gateway.DrainTime = time.Minute })
	var all []*subscriber
	for range streams {
		s := r.subscribe("subject=events.a", browser...)
		s.primed()
		all = append(all, s)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- r.server.Shutdown(ctx)
	}()
	r.await("the drain to begin", r.server.Draining)

	if res, body := r.do(http.MethodGet, "/readyz", ""); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
		t.Errorf("readyz: %s %s", res.Status, body)
	}
	late := r.subscribe("subject=events.a", browser...)
	late.primed()
	r.publish("events.a", "still served")
	if got := late.read(1); got[0] != "still served" {
		t.Errorf("got %q", got)
	}
	got := 0
	retries := map[string]bool{}
	for _, s := range append(all, late) {
		cutOff(t, s)
		text := s.raw.buf.String()
		if strings.Contains(text, "data: still served") {
			got++
		}
		_, goodbye, _ := strings.Cut(text, "retry: ") // the first is that of the opening
		_, goodbye, ok := strings.Cut(goodbye, "retry: ")
		if !ok {
			t.Fatalf("cut without a time to come back: %q", text)
		}
		retries[strings.TrimSpace(goodbye)] = true
	}
	if got < 2 {
		t.Error("all streams were cut before the first event of the drain")
	}
	if len(retries) < 10 {
		t.Errorf("only %d different times to come back", len(retries))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := r.http.Do(r.request(http.MethodGet, "/healthz", "")); err == nil {
		t.Error("it still listens")
	}
}

// Without streams there is nothing to wait for.
func TestDrain_Idle(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.DrainTime = time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
