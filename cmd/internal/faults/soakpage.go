//go:build linux

package faults

import (
	"fmt"
	"html"
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

// Measures of the chart, in pixels.
const (
	chartWidth   = 860
	panelLeft    = 70
	panelWidth   = 760
	panelHeight  = 110
	panelSpacing = 46
)

var gatewayColours = [nodes]string{"#2f6fed", "#e8a33d", "#1e8e3e"}

// Chart draws a panel for each measure, with a line for each gateway. It draws its own
// background, so that it can be read on a dark page.
func (p *SoakReport) Chart() string {
	var b strings.Builder
	y := 40
	for i := range nodes {
		x := panelLeft + 110*i
		fmt.Fprintf(&b, `<rect x="%d" y="10" width="12" height="3" fill="%s"/>`+"\n", x, gatewayColours[i])
		label(&b, x+18, 15, "", fmt.Sprintf("gateway-%d", i))
	}
	label(&b, panelLeft+110*nodes, 15, `fill="#5f6368"`, "grey: not judged")
	for _, m := range measures {
		p.drawPanel(&b, m, y)
		y += panelHeight + panelSpacing
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#202124" role="img" aria-label="Memory, goroutines, open files and ring file over time">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%[3]s</svg>\n", chartWidth, y, b.String())
}

func (p *SoakReport) drawPanel(b *strings.Builder, m measure, y int) {
	most, end := 1e-9, time.Second
	for _, s := range p.Samples {
		most, end = max(most, m.of(s)), max(end, s.At)
	}
	most *= 1.1
	at := func(d time.Duration) float64 { return panelLeft + panelWidth*d.Seconds()/end.Seconds() }
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#f1f3f4"/>`+"\n", panelLeft, y, at(min(p.Judged, end))-panelLeft, panelHeight)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#dadce0"/>`+"\n", panelLeft, y, panelWidth, panelHeight)
	label(b, panelLeft, y-5, `font-weight="600"`, m.Name)
	label(b, panelLeft-6, y+10, `text-anchor="end" fill="#5f6368"`, m.format(most))
	label(b, panelLeft-6, y+panelHeight, `text-anchor="end" fill="#5f6368"`, "0")
	label(b, panelLeft+panelWidth, y+panelHeight+14, `text-anchor="end" fill="#5f6368"`, end.Round(time.Second).String())
	for g := range nodes {
		var points []string
		for _, s := range p.Samples {
			if s.Gateway == g {
				points = append(points, fmt.Sprintf("%.1f,%.1f", at(s.At), float64(y+panelHeight)-panelHeight*m.of(s)/most))
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), gatewayColours[g])
	}
}

func label(b *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(content))
}
