//go:build linux

package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ringcast/cmd/internal/bench"
)

// The load is the same, however many gateways share it: as many clients, events and
// deliveries, of which each gateway has its part.
func TestRun_Split(t *testing.T) {
	r := &run{rig: &rig{}, opt: Options{Duration: time.Second}}
	for i := range nodes {
		r.rig.gateways[i] = &gateway{addr: fmt.Sprintf("127.0.0.1:%d", 8080+i)}
		r.rig.nats[i] = &natsNode{client: fmt.Sprintf("127.0.0.1:%d", 4222+i)}
	}
	for gateways := 1; gateways <= nodes; gateways++ {
		clients, rate, deliveries := 0, 0.0, 0.0
		urls := map[string]bool{}
		for _, o := range r.split(fanout, gateways) {
			if err := o.Check(); err != nil {
				t.Error(err)
			}
			clients, rate, deliveries = clients+o.Clients, rate+o.Rate, deliveries+o.Rate*float64(o.Clients/o.Subjects)
			urls[o.URL+o.Prefix] = true
		}
		if clients != fanoutClients || int(rate+0.5) != fanoutRate || int(deliveries+0.5) != fanoutRate*fanoutTo || len(urls) != gateways {
			t.Errorf("%d gateways: %d clients, %.1f events/s, %.1f deliveries/s, on %v", gateways, clients, rate, deliveries, urls)
		}
	}
	if loads := r.split(ingest, 0); len(loads) != 1 || loads[0].Check() != nil || loads[0].Clients != 0 {
		t.Errorf("to nobody: %+v", loads)
	}
}

// The page has the medians of the runs, and no figure where there is none.
func TestSizingReport_Page(t *testing.T) {
	p := &SizingReport{}
	for n, cores := range []float64{0.2, 0.6, 0.4} {
		p.Shared = append(p.Shared,
			Cost{Run: n + 1, Load: ingest, Gateways: 2, Seconds: 10, Published: 20_000, GatewayCPU: cores, NATSCPU: 1},
			Cost{Run: n + 1, Load: ingest, Gateways: 0, Seconds: 10, Published: 20_000, NATSCPU: 0.5})
		p.One = append(p.One,
			Limit{n + 1, "idle", &bench.Result{Scenario: bench.Idle, Clients: 5, Server: &bench.Server{MemoryPerClient: 2500}}},
			Limit{n + 1, "some clients", &bench.Result{Clients: 7, Rate: 20, DeliveriesPerSecond: 21_000, PublishedPerSecond: 20,
				Server: &bench.Server{CPUPerDelivery: 8, MemoryPerClient: -3}, Latency: &bench.Latency{P99: 12}}})
	}
	page := p.Page()
	for _, want := range []string{
		"Medians of 3 runs",
		"| to nobody: all gateways, µs a published event | – | – | 200 (100–300) | – |",
		"| to nobody: the NATS servers, µs a published event | 250 (250–250) | – | 500 (500–500) | – |",
		"| idle: 5 | – | – | – | – | 2.5 (2.5–2.5) |",
		"| some clients: 7 | 20 (20–20) | 21k (21k–21k) | 8 (8–8) | 12 (12–12) | – |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
