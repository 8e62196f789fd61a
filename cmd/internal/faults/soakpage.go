//go:build linux

package faults

import (
	"fmt"
	"strings"
	"time"
)

// Page returns the report of a soak for a reader, in Markdown.
func (p *SoakReport) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Soak

Written by `+"`make soak`"+`. The parts of the [fault harness](REPORT.md), without faults: %d clients of five libraries stay
subscribed, %d more come and go every few seconds and resume after their last event, %.0f events a second are published.
Rings hold 4,000 events and the stream 8,000, so that both are at their limits before anything is judged: after %s.

| | |
| --- | --- |
| version | %s |
| began, took | %s, %s |
| events acknowledged, delivered | %d, %d |
| visits | %d |
| events lost, twice, out of order, or another violation | %d |
`, p.Clients, p.Visitors, p.Rate, p.Judged.Round(time.Second), p.Version, p.Began.Format(time.RFC3339), p.Took, p.Acked, p.Delivered, p.Visits,
		uint64(len(p.Violations))+p.Omitted)
	if p.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Note)
	}
	fmt.Fprintf(&b, "\n![memory, goroutines, open files and ring file of each gateway](soak.svg)\n\n"+
		"What it grew by is that of a line through the samples (Theil–Sen) over the time that is judged; more than the bound fails.\n\n"+
		"| gateway | what | median | grew by | at most | |\n| ---: | --- | ---: | ---: | ---: | --- |\n")
	for _, t := range p.Trends {
		verdict := "flat"
		if t.Grows() {
			verdict = "**grows**"
		}
		m := measureOf(t.Measure)
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", t.Gateway, t.Measure, m.format(t.Median), m.format(t.Growth), m.format(t.Bound), verdict)
	}
	p.writeErrors(&b)
	p.writeViolations(&b)
	return b.String()
}

func measureOf(name string) measure {
	for _, m := range measures {
		if m.Name == name {
			return m
		}
	}
	return measure{Name: name}
}

// Chart draws a panel for each measure, with a line for each gateway.
func (p *SoakReport) Chart() string {
	c := chart{
		title:  "Memory, goroutines, open files and ring file over time",
		note:   "grey: not judged",
		legend: gatewayLines(),
		grey:   []stretch{{0, p.Judged}},
	}
	for _, m := range measures {
		lines := gatewayLines()
		for _, s := range p.Samples {
			lines[s.Gateway].add(s.At, m.of(s))
		}
		c.panels = append(c.panels, panel{name: m.Name, format: m.format, lines: lines})
	}
	return c.svg()
}
