// Command suite measures Ringcast beside its peers for `make bench`: it starts
// each server on its own, on free ports of 127.0.0.1, has `ringcast bench` measure
// it, stops it, and writes the medians of all runs as a page, a chart and JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s suite
	flag.IntVar(&s.Runs, "runs", 5, "how often everything is measured; the medians are reported")
	flag.IntVar(&s.Seconds, "seconds", 5, "how long each measurement takes")
	flag.StringVar(&s.only, "only", "", "the rows to measure, by name with commas; the figures are printed only")
	flag.StringVar(&s.Note, "note", "", "a remark for the results page")
	flag.StringVar(&s.ringcast, "ringcast", "bin/ringcast", "the program")
	flag.StringVar(&s.floor, "floor", "bin/bench/floor", "the floor")
	flag.StringVar(&s.nchan, "nchan", "bin/bench/nchan", "the folder with nginx and nchan")
	flag.StringVar(&s.nchanConf, "nchan-conf", "deploy/bench/nchan.conf", "their configuration")
	flag.StringVar(&s.out, "out", "deploy/bench", "the folder to write to")
	again := flag.Bool("again", false, "measure nothing: write the page and the chart from results.json again")
	flag.Parse()
	work := s.run
	if *again {
		work = s.rewrite
	}
	if err := work(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// suite is one `make bench`. Its exported fields are the raw results.
type suite struct {
	Runs    int       `json:"runs"`
	Seconds int       `json:"seconds"`
	Began   time.Time `json:"began"`
	Machine machine   `json:"machine"`
	Note    string    `json:"note,omitempty"`
	// Results are by row and server, one for each run.
	Results map[string]map[string][]*sample `json:"results"`
	// Failures say what could not be measured.
	Failures []string `json:"failures,omitempty"`

	only, out                         string
	ringcast, floor, nchan, nchanConf string
	ring                              *fullRing // nil until it is needed
}

func (s *suite) run(ctx context.Context) error {
	if s.Runs < 1 || s.Seconds < 1 {
		return errors.New("RUNS and SECONDS are whole numbers, at least 1")
	}
	var err error
	if s.Machine, err = thisMachine(ctx, s.ringcast); err != nil {
		return err
	}
	s.Began = time.Now().UTC().Truncate(time.Second)
	s.Results = make(map[string]map[string][]*sample)
	defer s.removeRing()
	for n := 1; n <= s.Runs; n++ {
		for _, r := range rows {
			if s.only != "" && !slices.Contains(strings.Split(s.only, ","), r.name) {
				continue
			}
			if err := s.measureRow(ctx, n, r); err != nil {
				return err
			}
		}
	}
	if err := s.write(); err != nil {
		return err
	}
	if len(s.Failures) > 0 {
		return fmt.Errorf("could not measure everything:\n%s", strings.Join(s.Failures, "\n"))
	}
	return nil
}

// measureRow measures every server of a row. What fails is noted: a quarter of an
// hour of other figures is not thrown away for it.
func (s *suite) measureRow(ctx context.Context, run int, r row) error {
	measure := r.measure
	if measure == nil {
		measure = (*suite).measureFresh
	}
	for _, server := range r.servers {
		sm, err := measure(s, ctx, r, server)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		line := fmt.Sprintf("run %d of %d: %-12s %-10s ", run, s.Runs, r.name, server)
		if err != nil {
			s.Failures = append(s.Failures, fmt.Sprintf("%s, %s, run %d: %v", r.work, server, run, err))
			fmt.Fprintln(os.Stderr, line+"failed:", err)
			continue
		}
		if s.Results[r.name] == nil {
			s.Results[r.name] = make(map[string][]*sample)
		}
		s.Results[r.name][server] = append(s.Results[r.name][server], sm)
		fmt.Fprintln(os.Stderr, line+r.summary(sm))
	}
	return nil
}

// rewrite writes everything from the raw results.
func (s *suite) rewrite(context.Context) error {
	raw, err := os.ReadFile(filepath.Join(s.out, "results.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, s); err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	return s.write()
}

// write writes the raw results, the page and the chart, and prints the tables. A
// part of the rows is printed only: it is no result to keep.
func (s *suite) write() error {
	fmt.Print(s.tables())
	if s.only != "" {
		return nil
	}
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"RESULTS.md": s.page(), "results.json": string(raw) + "\n", "results.svg": s.chart()} {
		if err := os.WriteFile(filepath.Join(s.out, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
