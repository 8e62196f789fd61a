//go:build linux

package faults

import (
	"fmt"
	"strings"

	"ringcast/cmd/internal/bench"
)

// Page returns the report for a reader, in Markdown.
func (p *SizingReport) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What gateways take, and what more of them gain

Written by `+"`make sizing`"+`: %s, on %s. Gateways on a
NATS cluster of three (one stream, three replicas), clients and publishers of `+"`ringcast bench`"+`, all on one machine of two cores,
whose load average was %s before and %s after. Medians of %d runs, with the least and the most in brackets. Processor times
are comparable; latencies are those of a machine so busy.
`, p.Version, p.Began.Format("2 January 2006"), p.LoadAverages[0], p.LoadAverages[1], p.runs())
	if p.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Note)
	}
	p.writeShared(&b)
	p.writeOne(&b)
	return b.String()
}

func (p *SizingReport) runs() (n int) {
	for _, c := range p.Shared {
		n = max(n, c.Run)
	}
	return n
}

// costs returns a figure of all runs of a load with so many gateways.
func (p *SizingReport) costs(load string, gateways int, of func(Cost) float64) string {
	var values []float64
	for _, c := range p.Shared {
		if c.Load == load && c.Gateways == gateways {
			values = append(values, of(c))
		}
	}
	return spread(values)
}

// spread returns the median of values, and the least and the most.
func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	return fmt.Sprintf("%s (%s–%s)", digits(median(values)), digits(least), digits(most))
}

// digits writes a figure with three digits that count.
func digits(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

const micro = 1e6

func (p *SizingReport) writeShared(b *strings.Builder) {
	fmt.Fprintf(b, "\n## The same load on one to three gateways\n\n"+
		"%d events/s to nobody, and %d events/s to %d clients, of whom %d get each, shared evenly among the gateways.\n\n"+
		"| | no gateway | 1 | 2 | 3 |\n| --- | ---: | ---: | ---: | ---: |\n", ingestRate, fanoutRate, fanoutClients, fanoutTo)
	for _, row := range []struct {
		what, load string
		least      int // gateways
		of         func(Cost) float64
	}{
		{"to nobody: all gateways, µs a published event", ingest, 1, func(c Cost) float64 { return micro * c.GatewayCPU * c.Seconds / float64(c.Published) }},
		{"to nobody: the NATS servers, µs a published event", ingest, 0, func(c Cost) float64 { return micro * c.NATSCPU * c.Seconds / float64(c.Published) }},
		{"to clients: all gateways, µs a delivery", fanout, 1, func(c Cost) float64 { return micro * c.GatewayCPU * c.Seconds / float64(c.Delivered) }},
		{"to clients: one gateway, cores", fanout, 1, func(c Cost) float64 { return c.GatewayCPU / float64(c.Gateways) }},
		{"to clients: the NATS servers, cores", fanout, 1, func(c Cost) float64 { return c.NATSCPU }},
	} {
		fmt.Fprintf(b, "| %s |", row.what)
		for gateways := range nodes + 1 {
			cell := "–"
			if gateways >= row.least {
				cell = p.costs(row.load, gateways, row.of)
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		b.WriteString("\n")
	}
}

func (p *SizingReport) writeOne(b *strings.Builder) {
	fmt.Fprintf(b, "\n## One gateway\n\n| load | events/s | deliveries/s | gateway, µs a delivery | p99, ms | a client, kB |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	type key struct {
		load string
		rate float64
	}
	var order []key
	found := map[key][]*bench.Result{}
	for _, l := range p.One {
		k := key{fmt.Sprintf("%s: %d", l.Load, l.Result.Clients), l.Result.Rate}
		if found[k] == nil {
			order = append(order, k)
		}
		found[k] = append(found[k], l.Result)
	}
	for _, k := range order {
		fmt.Fprintf(b, "| %s |", k.load)
		for _, of := range []func(*bench.Result) float64{
			func(r *bench.Result) float64 { return r.PublishedPerSecond },
			func(r *bench.Result) float64 { return r.DeliveriesPerSecond },
			func(r *bench.Result) float64 { return r.Server.CPUPerDelivery },
			latency99,
			memoryOfClient,
		} {
			fmt.Fprintf(b, " %s |", figure(found[k], of))
		}
		b.WriteString("\n")
	}
}

// latency99 returns the p99 in milliseconds, 0 where nothing was delivered.
func latency99(r *bench.Result) float64 {
	if r.Latency == nil {
		return 0
	}
	return r.Latency.P99
}

// memoryOfClient returns it in kB; 0 where clients came to a gateway that had some before.
func memoryOfClient(r *bench.Result) float64 {
	if r.Scenario != bench.Idle {
		return 0
	}
	return r.Server.MemoryPerClient / 1e3
}

// figure returns one of all results, none where it is 0.
func figure(results []*bench.Result, of func(*bench.Result) float64) string {
	var values []float64
	for _, r := range results {
		if v := of(r); v != 0 {
			values = append(values, v)
		}
	}
	return spread(values)
}
