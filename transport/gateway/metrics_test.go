package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ringcast/transport/gateway"
)

func TestMetrics(t *testing.T) {
	r, _ := accessRig(t, "subscribe events.>", func(o *rigOptions) {
		o.gateway.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the metrics") })
	})
	bearer := func(calls ...string) []string {
		return []string{"Authorization", "Bearer " + token(t, tokenSecret, inAMinute(), map[string][]string{"admin": calls})}
	}
	for _, tc := range []struct {
		name   string
		header []string
		want   int
		says   string
	}{
		{"granted", bearer("metrics"), 200, "the metrics"},
		{"granted another call", bearer("status"), 403, "metrics"},
		{"without a token", nil, 401, "metrics"},
	} {
		res, body := r.do(http.MethodGet, "/metrics", "", tc.header...)
		if res.StatusCode != tc.want || !strings.Contains(body, tc.says) || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s: %s %v", tc.name, res.Status, body, res.Header)
		}
	}
	problems := r.server.Figures().Problems
	if problems["401"] != 1 || problems["403"] != 1 || problems["other"] != 0 {
		t.Errorf("counted %v", problems)
	}
}

func TestFigures(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.Limits.Streams = 5; o.gateway.PublishMaxBytes = 10 })
	raw := r.subscribe("subject=events.x")
	raw.primed()
	for range 2 {
		r.subscribe("subject=events.x&format=cloudevents").primed()
	}
	carrier := "taken_over"
	if r.over.protocol != "" {
		carrier = "net_http"
	}
	open := func(raw, cloudEvents int) string {
		figures := r.server.Figures()
		for _, s := range figures.Streams {
			want := map[string]int{"raw": raw, "cloudevents": cloudEvents}[s.Format]
			if s.Carrier != carrier {
				want = 0
			}
			if int(s.Open) != want {
				return fmt.Sprintf("%+v", figures)
			}
		}
		if figures.Seats != raw+cloudEvents || figures.MaxSeats != 5 || figures.CatchingUp != 0 {
			return fmt.Sprintf("%+v", figures)
		}
		return ""
	}
	r.await("three streams that have caught up", func() bool { return open(1, 2) == "" })
	raw.close()
	r.await("one less", func() bool { return open(0, 2) == "" })

	if res, _ := r.do(http.MethodPost, "/v1/publish/events.x", "much too long"); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(res.Status)
	}
	r.do(http.MethodGet, "/v1/stream", "")
	if p := r.server.Figures().Problems; p["413"] != 1 || p["400"] != 1 {
		t.Errorf("counted %v", p)
	}
	if refusals := r.server.Counters().Refusals; refusals != (gateway.RefusalCounters{BodySize: 1}) {
		t.Errorf("counted %+v", refusals)
	}
}
