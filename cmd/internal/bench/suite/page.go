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
	for i, sm := range results {
		values[i] = f.of(sm)
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
	b.WriteString("| work | figure | floor | nchan | Ringcast | Ringcast : floor | Ringcast : nchan | target |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n")
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
	fmt.Fprintf(b, "| %s | %s%s", r.work, f.name, f.better("less", "more"))
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
	fmt.Fprintf(b, " | **%s**%s%s | %s |\n", f.format(own), s.marked(r, ringcastServer), ratios, s.verdicts(r, f))
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
	for i, sm := range s.Results[r.name][server] {
		for _, fault := range sm.faults() {
			faults = append(faults, fmt.Sprintf("%s, %s, run %d: %s", r.work, server, i+1, fault))
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
		fmt.Fprintf(&b, "%s\n\n", s.Note)
	}
	b.WriteString(s.score() + s.tables())
	b.WriteString("\n![The same as a chart](results.svg)\n\n## Faults\n\n" + s.faultList())
	b.WriteString(how)
	m := s.Machine
	fmt.Fprintf(&b, "\n## Where\n\n%s, %d cores, Linux %s, %s. Load average when it began: %s.\n", m.CPU, m.Cores, m.Kernel, m.Go, m.Load)
	fmt.Fprintf(&b, "\n<details><summary>The command of each row</summary>\n\n| work | command |\n| --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | `%s` |\n", r.work, r.command())
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// score says how many targets were reached.
func (s *suite) score() string {
	verdicts := make(map[verdict]int)
	for _, r := range rows {
		for _, f := range r.figures {
			for _, g := range f.goals {
				verdicts[s.judge(r, f, g)]++
			}
		}
	}
	total := verdicts[reached] + verdicts[notReached] + verdicts[unknown]
	text := fmt.Sprintf("Of %d targets Ringcast has reached %d (%s) and not reached %d (%s)", total, verdicts[reached], reached, verdicts[notReached], notReached)
	if verdicts[unknown] > 0 {
		text += fmt.Sprintf("; %d could not be compared (%s)", verdicts[unknown], unknown)
	}
	return text + ".\n\n"
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
	for _, failure := range s.Failures {
		fmt.Fprintf(&b, "- Not measured: %s\n", strings.Join(strings.Fields(failure), " "))
	}
	if b.Len() == 0 {
		return "None: every client of every server got every event once, in order.\n"
	}
	return b.String()
}

var how = fmt.Sprintf(`
## How

%[1]smake bench                     # medians of 5, about 20 minutes
make bench RUNS=1 SECONDS=2    # quick
%[1]s
- Each server runs alone, fresh, on the same machine as the load generator, which is the same for all:
  %[2]sringcast bench%[2]s, one epoll loop. It takes its share of the cores. So figures hold for this machine only,
  and ratios are what to look at.
- Every event is checked at every client: lost, repeated, out of order, of another subject. Payloads have %[3]d
  bytes unless a row says otherwise.
- **Ringcast** is %[2]sringcast serve%[2]s with its default settings (and %[2]s--compression%[2]s where a row says gzip): its
  processor time and memory are those of the gateway *and* the NATS server in the same process, which has stored
  every event. It is published to over JetStream, the others over HTTP.
- **nchan** is Debian's nginx with its nchan module ([nchan.conf](nchan.conf)), in memory only, with room for all that
  a run publishes. It gets one worker process, and two where the work is "as fast as it goes": in a trial that was
  what served it best. Its figures of that work scatter by the way in which its workers happen to share the clients.
- **floor** is one thread on one epoll that makes one write(2) for each client and event
  ([source](../../cmd/internal/bench/floor/floor.go)); in the row of JetStream it is the same NATS server with nobody to
  read it.
- The floor and nchan are published to over HTTP connections that are kept: one for a subject, eight at most,
  each of which waits for its answer to keep the order. Neither tells when a client is subscribed: before
  anything counts they are published to until every client has had something.
- A latency counts from when an event was due.
- "As fast as it goes" means that at most %[4]d events are published and not yet delivered to all.
- Processor time is utime + stime of all processes of the server from /proc, from the end of the warm-up to the
  last delivery. Memory is what the proportional set size grew by, divided by the clients.
- A target is compared with the median. With a fault of Ringcast's in any run (!) it is not reached.
- The row of the restart has its events in files that the system may hold in memory. Readiness is asked for every
  millisecond.
- Conflated, a client must get the last event of each subject; no id may fall from one event to the next.
`, "```\n", "`", bench.Defaults().Size, bench.Defaults().Window)
