//go:build linux

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringcast/cmd/internal/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seed is one whose six faults are of six kinds: on gateways, a ring, NATS, the network
// and clients.
const seed = 1229

// options returns what the short forms have in common.
func options(t *testing.T) faults.Options {
	programs := t.TempDir()
	return faults.Options{
		Clients: 30, SlowReaders: 2, Visitors: 5, Stay: 5 * time.Second, Away: 5 * time.Second, Storm: 100, Rate: 40,
		Ringcast:      build(t, programs, "ringcast", "ringcast/cmd/ringcast"),
		NATSServer:    build(t, programs, "nats-server", "github.com/nats-io/nats-server/v2"),
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

// build builds a program, without the race detector: it would be the slowest part.
func build(t *testing.T, dir, name, source string) string {
	t.Helper()
	program := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("build %s: %v", source, err)
	}
	return program
}
