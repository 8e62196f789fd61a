//go:build linux

package faults

import (
	"fmt"
	"strings"
	"time"
)

// Page returns the report of a rolling restart for a reader, in Markdown.
func (p *RollingReport) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# A rolling restart

Written by `+"`make rolling`"+`. Three gateways on a NATS cluster of three, HAProxy in front with the
[configuration for operators](../proxies/haproxy.cfg). %d clients do as a browser's EventSource does: they come back after the time that the
stream named, with Last-Event-ID, and after an answer that is no stream they never would. Each follows one of %d subjects, to which
%.0f events a second are published. The gateways are restarted one after the other (SIGTERM, its end, start, /readyz), %s apart,
and every event of every client is held to what the publishers were acknowledged, as in the [fault harness](REPORT.md).

| | |
| --- | --- |
| version | %s |
| began, took | %s, %s |
| events acknowledged, delivered | %d, %d |
`, p.Clients, rooms*seats, p.Rate, p.Pause, p.Version, p.Began.Format(time.RFC3339), p.Took, p.Acked, p.Delivered)
	if p.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Note)
	}
	p.writeOutcome(&b)
	p.writeRestarts(&b)
	p.writeShares(&b)
	p.writeErrors(&b)
	p.writeViolations(&b)
	return b.String()
}

func (p *RollingReport) writeOutcome(b *strings.Builder) {
	at, times := p.worstSecond()
	spike, from := p.longestSpike(), ""
	if spike.length() > 0 {
		from = fmt.Sprintf(" (from %s on)", spike.from.Round(time.Second))
	}
	fmt.Fprintf(b, "\n![reconnects, streams, processor time and events over time](rolling.svg)\n\n## What came of it\n\n"+
		"| | must be | is |\n| --- | ---: | ---: |\n"+
		"| events lost, twice, out of order, or another violation | 0 | %d |\n"+
		"| answers that end a browser's EventSource for good | 0 | %d |\n"+
		"| most clients that came back in one second, in what it would be evenly over the drain | %d.0 | %.1f (at %s) |\n"+
		"| longest time for which the gateways took more than %d times what they take in steady state | %.0f s, a drain | %.0f s%s |\n",
		uint64(len(p.Violations))+p.Omitted, p.Refused, burst, times, at.Round(time.Second),
		spikeFactor, p.longestDrain().Seconds(), spike.length().Seconds(), from)
	fmt.Fprintf(b, "\n| | |\n| --- | ---: |\n| reconnects | %d |\n| without a stream each time: median, p99, most | %.1f s, %.1f s, %.1f s |\n"+
		"| told by HAProxy to come back, since it found no gateway | %d |\n| connections without an answer | %d |\n",
		p.total(func(s Second) uint64 { return s.Reconnects }), p.Away[0].Seconds(), p.Away[1].Seconds(), p.Away[2].Seconds(), p.SentBack, p.Failures)
}

func (p *RollingReport) total(of func(Second) uint64) (sum uint64) {
	for _, s := range p.Seconds {
		sum += of(s)
	}
	return sum
}

func (p *RollingReport) writeRestarts(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Restarts\n\n| gateway | streams | told to stop at | ended after | ready after that |\n| ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range p.Restarts {
		fmt.Fprintf(b, "| %d | %d | %.1f s | %.1f s | %.1f s |\n", r.Gateway, r.Streams, r.Told.Seconds(), r.drain().Seconds(), (r.Ready - r.Ended).Seconds())
	}
}

// writeShares says who took how much of the processors, before the first restart and
// while gateways were restarted.
func (p *RollingReport) writeShares(b *strings.Builder) {
	if len(p.Restarts) == 0 {
		return
	}
	first, last := p.Restarts[0].Told, p.Restarts[len(p.Restarts)-1].Ready
	fmt.Fprintf(b, "\n## Processor time\n\nIn cores; the machine has them for everything here. The most is that of one second.\n\n"+
		"| | steady, median | restarts, median | most |\n| --- | ---: | ---: | ---: |\n")
	for _, part := range []struct {
		name string
		of   func(Second) float64
	}{
		{"the gateways together", Second.all},
		{"HAProxy", func(s Second) float64 { return s.HAProxy }},
		{"the NATS servers together", func(s Second) float64 { return s.NATS }},
		{"clients, publishers", func(s Second) float64 { return s.Clients }},
	} {
		var before, during []float64
		most := 0.0
		for _, s := range p.Seconds {
			switch v := part.of(s); {
			case s.At < first:
				before = append(before, v)
			case s.At <= last:
				during = append(during, v)
				most = max(most, v)
			}
		}
		fmt.Fprintf(b, "| %s | %.2f | %.2f | %.2f |\n", part.name, median(before), median(during), most)
	}
}

// Chart draws what happened in each second.
func (p *RollingReport) Chart() string {
	count := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	cores := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	one := func(name string, of func(Second) float64) line {
		l := line{name: name, colour: allColour}
		for _, s := range p.Seconds {
			l.add(s.At, of(s))
		}
		return l
	}
	streams, shares := gatewayLines(), gatewayLines()
	for _, s := range p.Seconds {
		for g := range nodes {
			streams[g].add(s.At, float64(s.Streams[g]))
			shares[g].add(s.At, s.Gateways[g])
		}
	}
	c := chart{
		title:  "Reconnects, streams, processor time and events over time",
		note:   "grey: a gateway drains",
		legend: append(gatewayLines(), line{name: "all", colour: allColour}),
		panels: []panel{
			{name: "clients that come back, a second", format: count, lines: []line{one("all", func(s Second) float64 { return s.each(s.Reconnects) })}},
			{name: "open streams", format: count, lines: append(streams, one("all", func(s Second) float64 { return float64(s.Connected) }))},
			{name: "processor time of the gateways, in cores; red: twice the steady state", format: cores, lines: append(shares, one("all", Second.all)), bound: spikeFactor * p.steady()},
			{name: "events delivered, a second", format: count, lines: []line{one("all", func(s Second) float64 { return s.each(s.Events) })}},
		},
	}
	for _, r := range p.Restarts {
		c.grey = append(c.grey, stretch{r.Told, r.Ended})
	}
	return c.svg()
}
