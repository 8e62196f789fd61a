package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// figure is one number of a row's samples, and what Ringcast's is to reach.
type figure struct {
	name   string
	of     func(*sample) float64
	format func(float64) string
	// more is better; where either is neither, it has to be seen with the others.
	more, neither bool
	goals         []goal
}

// goal is a bound of Ringcast's median: value, or so many times that of a server in
// the same row.
type goal struct {
	value  float64
	server string // empty for a bound of its own
}

var (
	cpuPerDelivery = figure{name: "server CPU per delivery", of: func(s *sample) float64 { return s.Server.CPUPerDelivery }, format: microseconds}
	cpuPerEvent    = figure{name: "server CPU per event", of: func(s *sample) float64 { return 1e6 * s.Server.CPUSeconds / float64(s.Published) }, format: microseconds}
	cores          = figure{name: "server CPU", of: func(s *sample) float64 { return s.Server.CPUSeconds / s.Seconds }, format: inCores}
	p99            = figure{name: "p99 latency", of: func(s *sample) float64 { return s.latency().P99 }, format: milliseconds}
	deliveries     = figure{name: "deliveries a second", of: func(s *sample) float64 { return s.DeliveriesPerSecond }, format: count, more: true}
	sent           = figure{name: "deliveries a second", of: deliveries.of, format: count, neither: true}
	memory         = figure{name: "memory per client", of: func(s *sample) float64 { return s.Server.MemoryPerClient }, format: kilobytes}
	duration       = figure{name: "time until all have all", of: func(s *sample) float64 { return 1e3 * s.Seconds }, format: milliseconds}
	stored         = figure{name: "events a second", of: func(s *sample) float64 { return s.PublishedPerSecond }, format: count, more: true}
	ready          = figure{name: "time from exec to readiness", of: func(s *sample) float64 { return s.Ready }, format: seconds}
	first          = figure{name: "time from connecting to the first event, median", of: func(s *sample) float64 { return s.latency().P50 }, format: milliseconds}
	slowestFirst   = figure{name: "the same, slowest", of: func(s *sample) float64 { return s.latency().Max }, format: milliseconds}
	perEvent       = figure{name: "time per event", of: func(s *sample) float64 { return s.PerOp / 1e3 }, format: microseconds}
	wire           = figure{name: "bytes a second on the wire", of: func(s *sample) float64 { return float64(s.WireBytes) / s.Seconds }, format: count}
	perDelivery    = figure{name: "bytes on the wire per delivery", of: func(s *sample) float64 { return s.WireBytesPerDelivery }, format: count}
)

// to returns the figure with a bound to reach.
func (f figure) to(value float64) figure { return f.within(value, "") }

// within returns the figure with a bound to reach of so many times a server's.
func (f figure) within(times float64, server string) figure {
	f.goals = append(slices.Clone(f.goals), goal{times, server})
	return f
}

// better says which way is better.
func (f figure) better(less, more string) string {
	switch {
	case f.neither:
		return ""
	case f.more:
		return " (" + more + " is better)"
	}
	return " (" + less + " is better)"
}

// goalText returns a goal as the results page has it, such as "≤ 1.2 × floor".
func (f figure) goalText(g goal) string {
	sign := "≤ "
	if f.more {
		sign = "≥ "
	}
	switch {
	case g.server == "":
		return sign + f.format(g.value)
	case g.value == 1:
		return sign + g.server
	}
	return fmt.Sprintf("%s%g × %s", sign, g.value, g.server)
}

// verdict is how a goal was met.
type verdict string

const (
	reached    verdict = "✓"
	notReached verdict = "✗"
	unknown    verdict = "?" // what it is compared with was not measured
)

// judge tells whether Ringcast's median reaches a goal. A run in which it lost an
// event reaches nothing.
func (s *suite) judge(r row, f figure, g goal) verdict {
	own, ok := s.median(r, ringcastServer, f)
	if !ok {
		return unknown
	}
	bound := g.value
	if g.server != "" {
		other, ok := s.median(r, g.server, f)
		if !ok {
			return unknown
		}
		bound *= other
	}
	met := own <= bound
	if f.more {
		met = own >= bound
	}
	if !met || len(s.faults(r, ringcastServer)) > 0 {
		return notReached
	}
	return reached
}

// verdicts returns a figure's goals, each with how it was met.
func (s *suite) verdicts(r row, f figure) string {
	var parts []string
	for _, g := range f.goals {
		parts = append(parts, fmt.Sprintf("%s %s", s.judge(r, f, g), f.goalText(g)))
	}
	return strings.Join(parts, "<br>")
}

func microseconds(v float64) string { return digits(v) + " µs" }
func milliseconds(v float64) string { return digits(v) + " ms" }
func seconds(v float64) string      { return digits(v) + " s" }
func kilobytes(v float64) string    { return digits(v/1000) + " kB" }
func inCores(v float64) string      { return digits(v) + " cores" }

func count(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + " M"
	case v >= 1e3:
		return digits(v/1e3) + " k"
	}
	return digits(v)
}

// digits returns a number with three digits that count, or all before the point.
func digits(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // it was just written
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
