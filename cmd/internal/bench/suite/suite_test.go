package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"ringcast/cmd/internal/bench"
)

// measured returns results in which every figure of Ringcast's is the run's number
// and every one of its peers' is twice that.
func measured(runs int) *suite {
	s := &suite{Runs: runs, Seconds: 1, Results: make(map[string]map[string][]*bench.Result)}
	for _, r := range rows {
		s.Results[r.name] = make(map[string][]*bench.Result)
		for _, server := range r.servers {
			for run := runs; run >= 1; run-- {
				v := float64(run)
				if server != ringcastServer {
					v *= 2
				}
				s.Results[r.name][server] = append(s.Results[r.name][server], &bench.Result{
					DeliveriesPerSecond: v, PublishedPerSecond: v,
					Latency: &bench.Latency{P99: v},
					Server:  &bench.Server{CPUPerDelivery: v, MemoryPerClient: 1024 * v},
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
		"| 1,000 clients, one subject, 20 events/s | server CPU per delivery (less is better) | 4 µs | 4 µs | **2 µs** | 0.50 | 0.50 |",
		"| 500 clients resume 900 events each at once | deliveries a second (more is better) | – | 4 | **2** | – | 0.50 |",
		"None: every client of every server got every event once, in order.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no line %s:\n%s", want, page)
		}
	}
	s.Results["fanout"][nchanServer][1].Lost = 7
	page = s.page()
	for _, want := range []string{"| 4 µs (!) |", "- 1,000 clients, one subject, 20 events/s, nchan, run 2: not every client got every event: 7 lost"} {
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
