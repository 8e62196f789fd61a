package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ringcast/cmd/internal/bench"
)

// measured returns results in which every figure of Ringcast's is the run's number
// and every one of its peers' is twice that.
func measured(runs int) *suite {
	s := &suite{Runs: runs, Seconds: 1, Results: make(map[string]map[string][]*sample)}
	for _, r := range rows {
		s.Results[r.name] = make(map[string][]*sample)
		for _, server := range r.servers {
			for run := runs; run >= 1; run-- {
				v := float64(run)
				if server != ringcastServer {
					v *= 2
				}
				s.Results[r.name][server] = append(s.Results[r.name][server], &sample{
					Result: &bench.Result{
						Seconds: 1, Published: 1, DeliveriesPerSecond: v, PublishedPerSecond: v, WireBytes: uint64(v),
						Latency: &bench.Latency{P50: v, P99: v, Max: v},
						Server:  &bench.Server{CPUSeconds: v, CPUPerDelivery: v, MemoryPerClient: 1000 * v},
					},
					Ready: v, PerOp: 1000 * v,
				})
			}
		}
	}
	return s
}

func TestSuite_Median(t *testing.T) {
	for runs, want := range map[int]float64{1: 1, 2: 1.5, 3: 2, 5: 3} {
		if got, ok := measured(runs).median(rows[0], ringcastServer, cpuPerDelivery); !ok || got != want {
			t.Errorf("of %d runs: %g, %v, want %g", runs, got, ok, want)
		}
	}
	if _, ok := new(suite).median(rows[0], ringcastServer, cpuPerDelivery); ok {
		t.Error("there is a median of nothing")
	}
}

func TestSuite_Page(t *testing.T) {
	s := measured(3)
	page := s.page()
	for _, want := range []string{
		"| 1,000 clients, one subject, 20 events/s | server CPU per delivery (less is better) | 4 µs | 4 µs | **2 µs** | 0.50 | 0.50 | ✓ ≤ 1.2 × floor<br>✓ ≤ nchan |",
		"| 500 clients resume 900 events each at once | deliveries a second (more is better) | – | 4 | **2** | – | 0.50 | ✗ ≥ 2 M |",
		"| 10,000 idle clients | memory per client (less is better) | 4 kB | 4 kB | **2 kB** | 0.50 | 0.50 | ✓ ≤ 6 kB |",
		"| time from exec to readiness (less is better) | – | – | **2 s** | – | – | ✗ ≤ 1 s |",
		"Of 12 targets Ringcast has reached 7 (✓) and not reached 5 (✗).",
		"None: every client of every server got every event once, in order.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no line %s:\n%s", want, page)
		}
	}
	s.Results["fanout"][nchanServer][1].Lost = 7
	s.Results["own"][ringcastServer][0].Lost = 1
	delete(s.Results["ingest"], jetstreamServer)
	s.Failures = []string{"what could\nnot be"}
	page = s.page()
	for _, want := range []string{
		"| **2 µs** (!) | 0.50 | 0.50 | ✗ ≤ 60 µs |",
		"| ? ≥ 0.7 × jetstream |",
		"- Not measured: what could not be\n",
		"and not reached 5 (✗); 1 could not be compared (?).",
		"| 4 µs (!) |", "- 1,000 clients, one subject, 20 events/s, nchan, run 2: not every client got every event: 7 lost",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page says nothing of lost events: no %s in:\n%s", want, page)
		}
	}
}

func TestSuite_Chart(t *testing.T) {
	chart := measured(1).chart()
	dec := xml.NewDecoder(strings.NewReader(chart))
	bars := 0
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	want := 1 // the background
	for _, r := range rows {
		want += len(r.servers)
	}
	if bars != want {
		t.Errorf("%d rectangles, want %d", bars, want)
	}
	if !strings.Contains(chart, `width="260"`) || !strings.Contains(chart, `width="520"`) {
		t.Error("no bar is half as long as the longest")
	}
}

func TestRows(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.name] || r.name == "" || r.work == "" || len(r.figures) == 0 || len(r.servers) == 0 {
			t.Errorf("row %q: %+v", r.name, r)
		}
		seen[r.name] = true
		if slices.Contains(r.servers, nchanServer) && r.workers == 0 {
			t.Errorf("row %s: nchan has no worker", r.name)
		}
	}
}

func TestNanosecondsPerOp(t *testing.T) {
	const out = "goos: linux\nBenchmarkHub_Append/subscriptions=100-2         \t 3169651\t       368.2 ns/op\t     391 B/op\t       4 allocs/op\nPASS\n"
	if got, err := nanosecondsPerOp([]byte(out)); got != 368.2 || err != nil {
		t.Errorf("%g, %v", got, err)
	}
	if got, err := nanosecondsPerOp([]byte("testing: warning: no tests to run\nPASS\n")); err == nil {
		t.Errorf("%g of nothing", got)
	}
}

// What was written is read again as it was, also of a sample without a load generator.
func TestSuite_Rewrite(t *testing.T) {
	s := measured(2)
	s.out = t.TempDir()
	s.Results["match-100"][ringcastServer] = []*sample{{PerOp: 7}}
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(s.out, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	again := &suite{out: s.out}
	if err := again.rewrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), again.page()); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 0.23456: "0.235", 1.999: "2", 16.34: "16.3", 999.6: "1000", 1234.5: "1234", 60: "60"} {
		if got := digits(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{999: "999", 4_770: "4.77 k", 174_123: "174 k", 2.52e6: "2.52 M"} {
		if got := count(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}
