//go:build linux

// Command suite runs the fault harness for `make faults`: it makes the faults that a
// seed says, and writes what came of it as a page and as JSON. With -soak it is that of
// `make soak`, with -rolling that of `make rolling`, and with -sizing that of `make
// sizing`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ringcast/cmd/internal/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s suite
	s.parse()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// suite is one `make faults`, `make soak`, `make rolling` or `make sizing`.
type suite struct {
	faults.Options
	soak      bool
	every     time.Duration
	rolling   bool
	between   time.Duration
	sizing    int
	out, note string
}

func (s *suite) parse() {
	s.Log = log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds).Printf
	flag.BoolVar(&s.soak, "soak", false, "make no faults: look at what grows")
	flag.DurationVar(&s.every, "every", 5*time.Second, "of a soak: how often the gateways are looked at")
	flag.BoolVar(&s.rolling, "rolling", false, "make no faults: restart the gateways one after the other; -duration is how long is looked before and after")
	flag.DurationVar(&s.between, "between", 10*time.Second, "of a rolling restart: the time between two gateways")
	flag.IntVar(&s.sizing, "sizing", 0, "make no faults: measure so many times what gateways and NATS take, for -duration each load")
	flag.Uint64Var(&s.Seed, "seed", 0, "what decides about the faults; 0 takes one at random")
	flag.IntVar(&s.Faults, "faults", 200, "how many faults are made")
	flag.StringVar(&s.Only, "only", "", "only kinds of faults with this in their names")
	flag.DurationVar(&s.Duration, "duration", 30*time.Minute, "over how long a time, at least")
	flag.IntVar(&s.Clients, "clients", 300, "clients that stay subscribed")
	flag.IntVar(&s.SlowReaders, "slow", 12, "slow readers besides")
	flag.IntVar(&s.Visitors, "visitors", 20, "clients that come and go")
	flag.DurationVar(&s.Stay, "stay", 20*time.Second, "how long a visitor stays, at most")
	flag.DurationVar(&s.Away, "away", 2*time.Minute, "how long it is away, at most")
	flag.IntVar(&s.Storm, "storm", 2000, "clients of a connection storm")
	flag.Float64Var(&s.Rate, "rate", 40, "events a second")
	flag.StringVar(&s.Ringcast, "ringcast", "bin/ringcast", "the program")
	flag.StringVar(&s.NATSServer, "nats-server", "bin/faults/nats-server", "the program")
	flag.StringVar(&s.HAProxyConfig, "haproxy", "deploy/proxies/haproxy.cfg", "HAProxy's configuration")
	flag.StringVar(&s.Web, "web", "transport/web", "the folder with the clients in JavaScript")
	flag.StringVar(&s.Dir, "dir", "", "the folder for stores and logs; one that is removed after a good run, where empty")
	flag.StringVar(&s.out, "out", "deploy/faults", "the folder to write to; none where empty")
	flag.StringVar(&s.note, "note", "", "a remark for the page")
	flag.Parse()
	if s.Seed == 0 {
		s.Seed = uint64(rand.Uint32())
	}
}

// run does the work. After a good run nothing but the report is left.
func (s *suite) run(ctx context.Context) error {
	temporary := s.Dir == ""
	if temporary {
		var err error
		if s.Dir, err = os.MkdirTemp("", "ringcast-faults-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	work := s.runFaults
	switch {
	case s.soak:
		work = s.runSoak
	case s.rolling:
		work = s.runRolling
	case s.sizing > 0:
		work = s.runSizing
	}
	if err := work(ctx); err != nil {
		return fmt.Errorf("%w (stores and logs are in %s)", err, s.Dir)
	}
	if temporary {
		return os.RemoveAll(s.Dir)
	}
	return nil
}

func (s *suite) runFaults(ctx context.Context) error {
	s.Log("seed %d", s.Seed)
	var leftOut []string
	if err := faults.CanMount(); err != nil {
		leftOut = append(leftOut, fmt.Sprintf("disk full: a small file system cannot be made here (%v)", err))
		s.Log("LEFT OUT: %s", leftOut[0])
	} else {
		s.SmallDisk = true
	}
	var err error
	if s.Stepped, err = faults.BuildStepped(ctx, s.Dir); err != nil {
		leftOut = append(leftOut, fmt.Sprintf("clock stepped: a gateway with such a clock cannot be built (%v)", err))
		s.Log("LEFT OUT: %s", leftOut[len(leftOut)-1])
	}
	report, err := faults.Run(ctx, s.Options)
	if report == nil {
		return err
	}
	report.LeftOut = leftOut
	if describeErr := s.describe(ctx, report); describeErr != nil {
		return errors.Join(err, describeErr)
	}
	return errors.Join(err, report.Faultless(), s.write(err == nil, "report.json", report, map[string]string{"REPORT.md": report.Page()}))
}

func (s *suite) runSoak(ctx context.Context) error {
	report, err := faults.Soak(ctx, s.Options, s.every)
	if report == nil {
		return err
	}
	if describeErr := s.describe(ctx, report.Report); describeErr != nil {
		return errors.Join(err, describeErr)
	}
	return errors.Join(err, report.Flat(), s.write(err == nil, "soak.json", report, map[string]string{"SOAK.md": report.Page(), "soak.svg": report.Chart()}))
}

func (s *suite) runRolling(ctx context.Context) error {
	report, err := faults.Rolling(ctx, s.Options, s.between)
	if report == nil {
		return err
	}
	if describeErr := s.describe(ctx, report.Report); describeErr != nil {
		return errors.Join(err, describeErr)
	}
	return errors.Join(err, report.Smooth(), s.write(err == nil, "rolling.json", report, map[string]string{"ROLLING.md": report.Page(), "rolling.svg": report.Chart()}))
}

func (s *suite) runSizing(ctx context.Context) error {
	report, err := faults.Sizing(ctx, s.Options, s.sizing)
	if report == nil {
		return err
	}
	version, versionErr := s.version(ctx)
	report.Version, report.Note = version, s.note
	return errors.Join(err, versionErr, s.write(err == nil, "sizing.json", report, map[string]string{"SIZING.md": report.Page()}))
}

// describe adds what only the caller knows.
func (s *suite) describe(ctx context.Context, report *faults.Report) (err error) {
	report.Version, err = s.version(ctx)
	report.Note = s.note
	return err
}

// version returns what the program says of itself.
func (s *suite) version(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, s.Ringcast, "version").Output()
	if err != nil && ctx.Err() == nil {
		return "", fmt.Errorf("ask %s for its version: %w", s.Ringcast, err)
	}
	return strings.TrimSpace(string(version)), nil
}

// write writes a report and its pages beside the logs and, of a run that came to its end,
// to the folder for results; and prints what is to be read.
func (s *suite) write(whole bool, name string, report any, pages map[string]string) error {
	raw, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	pages[name] = string(raw) + "\n"
	dirs := []string{s.Dir}
	if whole && s.out != "" {
		dirs = append(dirs, s.out)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, content := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
	}
	for name, content := range pages {
		if filepath.Ext(name) == ".md" {
			fmt.Println(content)
		}
	}
	return nil
}
