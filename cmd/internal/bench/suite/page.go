package main

import (
	"fmt"
	"slices"
	"strings"

	"ringcast/cmd/internal/bench"
)

// median returns the median of a figure over the runs, and whether there are any.
func (s *suite) median(r row, server string, f figure) (float64, bool) {
	results := s.Results[r.name][server]
	if len(results) == 0 {
		return 0, false
	}
	values := make([]float64, len(results))
	for i, result := range results {
		values[i] = f.of(result)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

// tables returns the one table of all rows, in Markdown.
func (s *suite) tables() string {
	var b strings.Builder
	b.WriteString("| work | figure | floor | nchan | Ringcast | Ringcast : floor | Ringcast : nchan |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		for _, f := range r.figures {
			if own, ok := s.median(r, ringcastServer, f); ok {
				s.writeLine(&b, r, f, own)
			}
		}
	}
	return b.String()
}

func (s *suite) writeLine(b *strings.Builder, r row, f figure, own float64) {
	better := "less is better"
	if f.more {
		better = "more is better"
	}
	fmt.Fprintf(b, "| %s | %s (%s)", r.work, f.name, better)
	ratios := ""
	for _, server := range []string{floorOf(r), nchanServer} {
		cell, ratio := "–", "–"
		if v, ok := s.median(r, server, f); ok {
			cell = f.format(v) + s.marked(r, server)
			if v > 0 {
				ratio = fmt.Sprintf("%.2f", own/v)
			}
		}
		fmt.Fprintf(b, " | %s", cell)
		ratios += " | " + ratio
	}
	fmt.Fprintf(b, " | **%s**%s%s |\n", f.format(own), s.marked(r, ringcastServer), ratios)
}

// floorOf returns what stands in the column of the floor.
func floorOf(r row) string {
	if slices.Contains(r.servers, jetstreamServer) {
		return jetstreamServer
	}
	return floorServer
}

// marked returns a mark for a server with a fault in any run.
func (s *suite) marked(r row, server string) string {
	if len(s.faults(r, server)) > 0 {
		return " (!)"
	}
	return ""
}

func (s *suite) faults(r row, server string) (faults []string) {
	for i, result := range s.Results[r.name][server] {
		if err := result.Faultless(); err != nil {
			faults = append(faults, fmt.Sprintf("%s, %s, run %d: %v", r.work, server, i+1, err))
		}
	}
	return faults
}

// page returns RESULTS.md.
func (s *suite) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Ringcast beside its peers\n\nWritten by `make bench` from [results.json](results.json). ")
	fmt.Fprintf(&b, "Medians of %d, measured for %d s each, on %s; %s.\n\n", s.Runs, s.Seconds, s.Began.Format("2 January 2006"), s.Machine.Ringcast)
	if s.Note != "" {
		fmt.Fprintf(&b, "**%s**\n\n", s.Note)
	}
	b.WriteString(s.tables())
	b.WriteString("\n![The same as a chart](results.svg)\n\n## Faults\n\n" + s.faultList())
	b.WriteString(how)
	m := s.Machine
	fmt.Fprintf(&b, "\n## Where\n\n%s, %d cores, Linux %s, %s. Load average when it began: %s.\n", m.CPU, m.Cores, m.Kernel, m.Go, m.Load)
	fmt.Fprintf(&b, "\n<details><summary>The flags of each row</summary>\n\n| work | <code>ringcast bench</code> |\n| --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | `%s` |\n", r.work, r.args)
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// faultList says which events did not come once and in order.
func (s *suite) faultList() string {
	var b strings.Builder
	for _, r := range rows {
		for _, server := range r.servers {
			for _, fault := range s.faults(r, server) {
				fmt.Fprintf(&b, "- %s\n", fault)
			}
		}
	}
	if b.Len() == 0 {
		return "None: every client of every server got every event once, in order.\n"
	}
	return b.String()
}

var how = fmt.Sprintf(`
## How

%[1]smake bench                     # medians of 5, about 15 minutes
make bench RUNS=1 SECONDS=3    # quick
%[1]s
- Each server runs alone, fresh, on the same machine as the load generator, which is the same for all:
  %[2]sringcast bench%[2]s, one epoll loop. It takes its share of the cores. So figures hold for this machine only,
  and ratios are what to look at.
- Every event is checked at every client: lost, repeated, out of order. Payloads have %[3]d bytes.
- **Ringcast** is %[2]sringcast serve%[2]s with its default settings: its processor time and memory are those of the
  gateway *and* the NATS server in the same process, which has stored every event. It is published to over
  JetStream, the others over HTTP.
- **nchan** is Debian's nginx with its nchan module ([nchan.conf](nchan.conf)), in memory only. It gets one worker
  process, and two where the work is "as fast as it goes": in a trial that was what served it best.
- **floor** does nothing but one write(2) for each client and event ([source](../../cmd/internal/bench/floor/main.go)); in the row
  of JetStream it is the same NATS server with nobody to read it.
- A latency counts from when an event was due.
- "As fast as it goes" means that at most %[4]d events are published and not yet delivered to all. The floor and
  nchan are published to by one connection for a subject (eight at most), which waits for each answer to keep
  the order.
- Processor time is utime + stime of all processes of the server from /proc, from the end of the warm-up to the
  last delivery. Memory is what the proportional set size grew by, divided by the clients.
`, "```\n", "`", bench.Defaults().Size, bench.Defaults().Window)
