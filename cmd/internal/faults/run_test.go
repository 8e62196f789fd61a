//go:build linux

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringcast/cmd/internal/faults"
)

// programs is the folder for what all tests run.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "ringcast-faults-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(programs)
		os.Exit(code)
	}))
}

// seed is one whose six faults are of six kinds: on gateways, a ring, NATS, the network
// and clients.
const seed = 1229

// options returns what the short forms have in common.
func options(t *testing.T) faults.Options {
	t.Helper()
	return faults.Options{
		Clients: 30, SlowReaders: 2, Visitors: 5, Stay: 5 * time.Second, Away: 5 * time.Second, Storm: 100, Rate: 40,
		Ringcast:      build(t, "ringcast", "ringcast/cmd/ringcast"),
		NATSServer:    build(t, "nats-server", "github.com/nats-io/nats-server/v2"),
		HAProxyConfig: "../../../deploy/proxies/haproxy.cfg",
		Web:           "../../../transport/web",
		Dir:           t.TempDir(),
		Log:           t.Logf,
	}
}

// TestSoak is the short form of `make soak`: too short to say what grows.
func TestSoak(t *testing.T) {
	opt := options(t)
	opt.Duration = 5 * time.Second
	report, err := faults.Soak(t.Context(), opt, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Faultless(); err != nil {
		t.Error(err)
	}
	if report.Visits == 0 {
		t.Error("nobody came and went")
	}
	if len(report.Samples) == 0 {
		t.Error("there are no samples")
	}
	for _, s := range report.Samples {
		if s.Memory <= 0 || s.Goroutines <= 0 || s.Files <= 0 || s.RingFile <= 0 {
			t.Errorf("a sample is %+v", s)
		}
	}
	if err := report.Flat(); err == nil {
		t.Error("it is judged all the same")
	}
}

// TestRun is the short form of `make faults`, without what takes root.
func TestRun(t *testing.T) {
	opt := options(t)
	opt.Seed, opt.Faults, opt.Duration = seed, 6, 20*time.Second
	report, err := faults.Run(t.Context(), opt)
	if err != nil {
		if report != nil {
			t.Log(report.Page())
		}
		t.Fatal(err)
	}
	if err := report.Faultless(); err != nil {
		t.Log(report.Page())
		t.Error(err)
	}
	kinds := map[string]bool{}
	for _, f := range report.Faults {
		kinds[f.Kind] = true
	}
	if len(kinds) != opt.Faults {
		t.Errorf("%d kinds of faults were made, want %d: %v", len(kinds), opt.Faults, kinds)
	}
	if report.Acked == 0 || report.Stored == 0 {
		t.Errorf("%d events were acknowledged, and %d stored", report.Acked, report.Stored)
	}
	for name, e := range report.Libraries {
		if e.Delivered == 0 {
			t.Errorf("no event came to %s", name)
		}
	}
}

// TestRolling is the short form of `make rolling`, too short to judge how evenly it goes.
// Every client loses its stream once at least, to the gateway that it is at in the
// beginning.
func TestRolling(t *testing.T) {
	opt := options(t)
	opt.Clients, opt.Duration, opt.GatewayFlags = 150, time.Second, []string{"--retry", "300ms"}
	report, err := faults.Rolling(t.Context(), opt, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Faultless(); err != nil {
		t.Error(err)
	}
	if report.Refused > 0 {
		t.Errorf("%d answers would have ended a browser's EventSource", report.Refused)
	}
	if len(report.Restarts) != 3 {
		t.Fatalf("%d restarts", len(report.Restarts))
	}
	reconnects, streams, followed, taken := uint64(0), 0, 0, 0.0
	for _, e := range report.Libraries {
		reconnects += e.Reconnects
	}
	for _, r := range report.Restarts {
		streams += r.Streams
	}
	if n := opt.Clients; reconnects < uint64(n) || streams < n {
		t.Errorf("%d reconnects of %d clients, whose gateways had %d streams in all", reconnects, n, streams)
	}
	for _, s := range report.Seconds {
		followed, taken = max(followed, s.Streams[0]), taken+s.Gateways[0]+s.HAProxy+s.NATS
	}
	if followed == 0 || taken == 0 {
		t.Errorf("it looked at gateways and saw %d streams, and %.2f cores taken", followed, taken)
	}
}

// build builds a program, once, without the race detector: it would be the slowest part.
func build(t *testing.T, name, source string) string {
	t.Helper()
	program := filepath.Join(programs, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("build %s: %v", source, err)
	}
	return program
}
