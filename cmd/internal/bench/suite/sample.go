package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"ringcast/cmd/internal/bench"
)

// sample is what one run of a row has measured of a server.
type sample struct {
	// Result is the load generator's; nil where there was none.
	*bench.Result
	// Ready is how many seconds the server took from exec to readiness.
	Ready float64 `json:"ready_seconds,omitempty"`
	// PerOp is a Go benchmark's nanoseconds per operation.
	PerOp float64 `json:"ns_per_op,omitempty"`
	// Log is what nchan had to say, if anything.
	Log string `json:"log,omitempty"`
}

// faults returns what was wrong.
func (s *sample) faults() (faults []string) {
	if s.Result != nil {
		if err := s.Faultless(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if s.Log != "" {
		faults = append(faults, "it logged: "+s.Log)
	}
	return faults
}

// latency is zero where nothing came.
func (s *sample) latency() bench.Latency {
	if s.Latency == nil {
		return bench.Latency{}
	}
	return *s.Latency
}

// measureFresh measures a server that has nothing yet and does nothing else.
func (s *suite) measureFresh(ctx context.Context, r row, name string) (*sample, error) {
	dir, err := os.MkdirTemp("", "ringcast-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	server, err := s.start(ctx, name, dir, r)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	result, err := s.bench(ctx, r.flags(server, s.Seconds))
	server.stop()
	if err != nil {
		return nil, err
	}
	return &sample{Result: result, Log: server.said()}, nil
}

// measureMatch runs a Go benchmark.
func (s *suite) measureMatch(ctx context.Context, r row, _ string) (*sample, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", r.args, "./broker")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, out, &stderr)
	}
	perOp, err := nanosecondsPerOp(out)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", out, err)
	}
	return &sample{PerOp: perOp}, nil
}

// nanosecondsPerOp reads the one line of a benchmark: its name, how often it ran and
// the time of one, in ns.
func nanosecondsPerOp(out []byte) (float64, error) {
	for line := range bytes.Lines(out) {
		if fields := bytes.Fields(line); len(fields) >= 4 && bytes.HasPrefix(fields[0], []byte("Benchmark")) && string(fields[3]) == "ns/op" {
			return strconv.ParseFloat(string(fields[2]), 64)
		}
	}
	return 0, fmt.Errorf("no benchmark in it")
}
