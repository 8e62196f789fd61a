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
	"syscall"
	"time"

	"ringcast/cmd/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s suite
	flag.IntVar(&s.Runs, "runs", 5, "how often everything is measured; the medians are reported")
	flag.IntVar(&s.Seconds, "seconds", 5, "how long each measurement takes")
	flag.StringVar(&s.only, "only", "", "the one row to measure")
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
	Results map[string]map[string][]*bench.Result `json:"results"`

	only, out                         string
	ringcast, floor, nchan, nchanConf string
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
	s.Results = make(map[string]map[string][]*bench.Result)
	for n := 1; n <= s.Runs; n++ {
		for _, r := range rows {
			if s.only != "" && s.only != r.name {
				continue
			}
			if err := s.measureRow(ctx, n, r); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return s.write()
}

func (s *suite) measureRow(ctx context.Context, run int, r row) error {
	for _, server := range r.servers {
		result, err := s.measure(ctx, r, server)
		if err != nil {
			return fmt.Errorf("%s: %w", server, err)
		}
		if s.Results[r.name] == nil {
			s.Results[r.name] = make(map[string][]*bench.Result)
		}
		s.Results[r.name][server] = append(s.Results[r.name][server], result)
		fmt.Fprintf(os.Stderr, "run %d of %d: %-12s %-10s %s\n", run, s.Runs, r.name, server, r.summary(result))
	}
	return nil
}

// measure measures one server, fresh and on its own.
func (s *suite) measure(ctx context.Context, r row, name string) (*bench.Result, error) {
	dir, err := os.MkdirTemp("", "ringcast-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	server, err := s.start(ctx, name, dir, r)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer server.stop()
	return s.bench(ctx, server, r)
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
// single row is printed only: it is no result to keep.
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
