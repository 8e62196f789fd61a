//go:build linux

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is what came of a run. Durations in it are nanoseconds in JSON.
type Report struct {
	Seed    uint64        `json:"seed"`
	Version string        `json:"version"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"`
	Clients int           `json:"clients"`
	Slow    int           `json:"slow_readers"`
	Storm   int           `json:"clients_of_a_storm"`
	// Visitors come and go, and did so Visits times.
	Visitors int     `json:"visitors"`
	Visits   uint64  `json:"visits"`
	Rate     float64 `json:"rate"`
	Note     string  `json:"note,omitempty"`
	// LeftOut says which faults could not be made here, and why.
	LeftOut []string `json:"left_out,omitempty"`

	Faults []Outcome `json:"faults"`

	Acked         uint64                 `json:"acked"`
	GaveUp        uint64                 `json:"gave_up"`
	Stored        uint64                 `json:"stored"` // in the stream at the end
	Delivered     uint64                 `json:"delivered"`
	Libraries     map[string]*experience `json:"libraries"`
	PublishErrors map[string]uint64      `json:"publish_errors,omitempty"`
	Purges        []purge                `json:"purges,omitempty"`

	Violations []violation `json:"violations,omitempty"`
	// Omitted is how many more there were.
	Omitted uint64 `json:"violations_omitted,omitempty"`
}

// Outcome is a fault that was made.
type Outcome struct {
	Fault
	On string `json:"on"`
	// At is when its step began, from the beginning of the run.
	At time.Duration `json:"at"`
	// With are the faults that overlapped.
	With []string `json:"with,omitempty"`
	// Recovery is how long after it, and what overlapped, every client had the newest event.
	Recovery time.Duration `json:"recovery"`
}

func newReport(opt Options, began time.Time) *Report {
	return &Report{Seed: opt.Seed, Began: began.UTC().Truncate(time.Second), Clients: opt.Clients, Slow: opt.SlowReaders, Storm: opt.Storm, Visitors: opt.Visitors, Rate: opt.Rate}
}

func (p *Report) add(f Fault, s step, at time.Time, recovery time.Duration) {
	o := Outcome{Fault: f, On: f.on(), At: at.Sub(p.Began), Recovery: recovery}
	for _, other := range s {
		if other.Number != f.Number {
			o.With = append(o.With, other.String())
		}
	}
	p.Faults = append(p.Faults, o)
}

// close takes over what the run has counted, once it has stopped.
func (p *Report) close(r *run) {
	p.Took = time.Since(p.Began).Truncate(time.Second)
	p.Acked, p.GaveUp = r.ledger.counts()
	p.Purges, p.Visits = r.ledger.purged, r.visits.Load()
	p.Libraries, p.PublishErrors = r.tally.clients, r.tally.publish
	for _, e := range p.Libraries {
		p.Delivered += e.Delivered
	}
	p.Violations, p.Omitted = r.violations, r.omitted
}

// count returns how many violations of a kind are kept.
func (p *Report) count(kind string) (n int) {
	for _, v := range p.Violations {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

// Faultless returns an error that says what was violated, nil where nothing was.
func (p *Report) Faultless() error {
	if len(p.Violations) == 0 {
		return nil
	}
	var kinds []string
	for _, kind := range []string{lost, duplicate, disorder, foreign, altered, groundless, unhealed, unstored} {
		if n := p.count(kind); n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s: %d", kind, n))
		}
	}
	return fmt.Errorf("violations with seed %d: %s; the first: %s %s", p.Seed, strings.Join(kinds, ", "), p.Violations[0].Client, p.Violations[0].Detail)
}

// Page returns the report for a reader, in Markdown.
func (p *Report) Page() string {
	var b strings.Builder
	p.writeHead(&b)
	p.writeVerdict(&b)
	p.writeKinds(&b)
	p.writeLibraries(&b)
	p.writeErrors(&b)
	p.writeViolations(&b)
	return b.String()
}

func (p *Report) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, `# Faults on purpose

Written by `+"`make faults`"+`. Three gateways on a NATS cluster of three (one stream, three replicas), HAProxy in front with
the [configuration for operators](../proxies/haproxy.cfg), a link between each two of them that can be cut, silenced and delayed;
%d clients of five libraries and %d slow readers, subscribed throughout, %d that come and go and are away for minutes, %.0f events a
second from %d publishers, half over HTTP and half over NATS, each repeating an event until it is acknowledged. Faults in the order that the seed says, one in four on top of another;
the next when every client has recovered. Every event of every client is held to what the publishers were acknowledged.

| | |
| --- | --- |
| seed | %d (`+"`make faults SEED=%d`"+`) |
| version | %s |
| began, took | %s, %s |
| faults | %d |
`, p.Clients, p.Slow, p.Visitors, p.Rate, rooms*seats, p.Seed, p.Seed, p.Version, p.Began.Format(time.RFC3339), p.Took, len(p.Faults))
	fmt.Fprintf(b, "| left out | clocks of the machine and of NATS: one gateway's alone is stepped |\n")
	for _, left := range p.LeftOut {
		fmt.Fprintf(b, "| **left out** | %s |\n", left)
	}
	if p.Note != "" {
		fmt.Fprintf(b, "\n%s\n", p.Note)
	}
}

func (p *Report) writeVerdict(b *strings.Builder) {
	fmt.Fprintf(b, "\n## What came of it\n\n| | must be | is |\n| --- | ---: | ---: |\n")
	for _, line := range []struct{ what, kind string }{
		{"events lost without a gap that says so", lost},
		{"events delivered twice", duplicate},
		{"events out of order", disorder},
		{"events that were not subscribed to", foreign},
		{"events altered", altered},
		{"gaps without a cause", groundless},
		{fmt.Sprintf("times that a client lacked events %s after a fault", recoverTimeout), unhealed},
		{"acknowledged events that NATS itself lost or has twice", unstored},
	} {
		fmt.Fprintf(b, "| %s | 0 | %d |\n", line.what, p.count(line.kind))
	}
	if p.Omitted > 0 {
		fmt.Fprintf(b, "| violations beyond the %d that are kept | 0 | %d |\n", keptViolations, p.Omitted)
	}
	reconnects, gaps := uint64(0), map[string]uint64{}
	for _, e := range p.Libraries {
		reconnects += e.Reconnects + e.GaveUp
		for reason, n := range e.Gaps {
			gaps[reason] += n
		}
	}
	told := "none"
	if len(gaps) > 0 {
		told = tallyText(gaps)
	}
	fmt.Fprintf(b, "\n| | |\n| --- | ---: |\n| events acknowledged to publishers | %d |\n| given up by publishers after %s | %d |\n"+
		"| in the stream at the end | %d |\n| delivered to clients | %d |\n| reconnects | %d |\n| times that a visitor came back | %d |\n| gaps told, by reason | %s |\n| purges of the stream | %d |\n",
		p.Acked, repeatable, p.GaveUp, p.Stored, p.Delivered, reconnects, p.Visits, told, len(p.Purges))
}

// tallyText returns counts by name, the greatest first.
func tallyText(counts map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(parts, ", ")
}

func (p *Report) writeKinds(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Faults and recovery\n\nRecovery is the time from the end of a fault (the start of a process that was stopped) until every\n"+
		"publisher has published again and every client has the newest event. Of faults that overlap it counts from the end of the later one.\n\n"+
		"| fault | made | alone | p50 | p90 | p99 | most |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	var all []time.Duration
	for _, k := range kinds {
		var took []time.Duration
		alone := 0
		for _, o := range p.Faults {
			if o.Kind == k.name {
				took = append(took, o.Recovery)
				if len(o.With) == 0 {
					alone++
				}
			}
		}
		all = append(all, took...)
		if len(took) > 0 {
			fmt.Fprintf(b, "| %s | %d | %d | %s |\n", k.name, len(took), alone, percentiles(took))
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(b, "| **all** | %d | | %s |\n", len(all), percentiles(all))
	}
}

// percentiles returns four of them as cells of a table.
func percentiles(took []time.Duration) string {
	slices.Sort(took)
	var cells []string
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		i := int(q*float64(len(took))+0.5) - 1
		cells = append(cells, fmt.Sprintf("%.1f s", took[min(max(i, 0), len(took)-1)].Seconds()))
	}
	return strings.Join(cells, " | ")
}

func (p *Report) writeLibraries(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Clients\n\nOne that gave up has ended for good, as its library does at some answers, and was opened anew by its user after its last id.\n\n"+
		"| library | clients | events | reconnects | gave up | gaps told |\n| --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(p.Libraries)) {
		e := p.Libraries[name]
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %s |\n", name, e.Clients, e.Delivered, e.Reconnects, e.GaveUp, tallyText(e.Gaps))
	}
}

// shownErrors is how many texts a table of errors has for each library.
const shownErrors = 8

func (p *Report) writeErrors(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Errors that clients saw\n\n| who | what | times |\n| --- | --- | ---: |\n")
	for _, name := range slices.Sorted(maps.Keys(p.Libraries)) {
		writeTexts(b, name, p.Libraries[name].Errors)
	}
	writeTexts(b, "publishers", p.PublishErrors)
}

func writeTexts(b *strings.Builder, who string, texts map[string]uint64) {
	sorted := slices.SortedFunc(maps.Keys(texts), func(a, c string) int {
		return cmp.Or(cmp.Compare(texts[c], texts[a]), cmp.Compare(a, c))
	})
	rest := uint64(0)
	for i, text := range sorted {
		if i >= shownErrors {
			rest += texts[text]
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %d |\n", who, strings.NewReplacer("|", "\\|", "\n", " ").Replace(text), texts[text])
	}
	if rest > 0 {
		fmt.Fprintf(b, "| %s | others | %d |\n", who, rest)
	}
}

func (p *Report) writeViolations(b *strings.Builder) {
	if len(p.Violations) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Violations\n\nThe first ones; `report.json` has more, with each client's last ids.\n\n")
	for _, v := range p.Violations[:min(20, len(p.Violations))] {
		fmt.Fprintf(b, "- %s, **%s**, %s: %s (during %s)\n", v.At.Format("15:04:05.000"), v.Kind, v.Client, v.Detail, strings.Join(v.Faults, "; "))
	}
}
