//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"ringcast/cmd/internal/bench"
)

// benchAgainst runs `ringcast bench` against a server to its end.
func benchAgainst(t *testing.T, ready readyLine, args ...string) bench.Result {
	t.Helper()
	args = append([]string{"bench", "--json", "--url", ready.URL, "--nats-url", ready.NATS, "--pid", strconv.Itoa(os.Getpid()), "--warmup", "50ms", "--duration", "300ms"}, args...)
	var r bench.Result
	if err := json.Unmarshal([]byte(strings.Join(command(t, args...), "\n")), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// command ends with a good status only where nothing was lost, repeated or out of
// order.
func TestBench(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	for _, tc := range []struct {
		name, args string
		clients    uint64 // of each subject
	}{
		{"fan-out", "--clients 50 --rate 200", 50},
		{"as fast as it goes", "--clients 20 --rate 0 --window 100", 20},
		{"subjects of their own", "--clients 60 --subjects 60 --rate 500", 1},
		{"NATS", "--clients 20 --rate 200 --publish nats", 20},
		{"HTTP", "--clients 20 --subjects 10 --rate 200 --publish http", 2},
		{"conflated", "--clients 20 --subjects 3 --skew --wildcard --conflate 50ms --rate 1000", 0},
		{"wildcard", "--clients 20 --subjects 7 --skew --wildcard --rate 200 --payload json --size 300", 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := benchAgainst(t, ready, append(strings.Fields(tc.args), "--prefix", "events."+strings.ReplaceAll(tc.name, " ", "-"))...)
			if r.Published == 0 || r.Deliveries < r.Published*tc.clients {
				t.Errorf("%d events, %d deliveries, want %d of each", r.Published, r.Deliveries, tc.clients)
			}
			if r.Latency == nil || r.Latency.P50 <= 0 || r.Server == nil || r.Server.Memory <= 0 {
				t.Errorf("not measured: %+v, %+v", r.Latency, r.Server)
			}
		})
	}
	t.Run("resume", func(t *testing.T) {
		r := benchAgainst(t, ready, "--scenario", "resume", "--clients", "20", "--events", "300", "--backlog", "2000", "--prefix", "events.resume")
		if r.Deliveries != 20*300 {
			t.Errorf("%d deliveries, want %d", r.Deliveries, 20*300)
		}
		r = benchAgainst(t, ready, "--scenario", "return", "--clients", "5", "--events", "300", "--prefix", "events.resume", "--bookmark", r.Bookmark)
		if r.Deliveries != 5*300 || r.Latency == nil {
			t.Errorf("%d deliveries, want %d; latency %+v", r.Deliveries, 5*300, r.Latency)
		}
	})
	t.Run("idle", func(t *testing.T) {
		if r := benchAgainst(t, ready, "--scenario", "idle", "--clients", "20"); r.Deliveries != 0 || r.Clients != 20 {
			t.Errorf("%d clients got %d events", r.Clients, r.Deliveries)
		}
	})
	t.Run("nobody follows", func(t *testing.T) {
		if r := benchAgainst(t, ready, "--clients", "0", "--rate", "0"); r.Published == 0 || r.Deliveries != 0 {
			t.Errorf("%d events, %d deliveries", r.Published, r.Deliveries)
		}
	})
	t.Run("text", func(t *testing.T) {
		lines := command(t, "bench", "--url", ready.URL, "--nats-url", ready.NATS, "--clients", "3", "--warmup", "0s", "--duration", "100ms")
		for _, want := range []string{"3 clients on 1 subjects", "deliveries ", "0 lost, 0 repeated", "p99.9 "} {
			if !strings.Contains(strings.Join(lines, "\n"), want) {
				t.Errorf("no %q in:\n%s", want, strings.Join(lines, "\n"))
			}
		}
	})
}
