//go:build linux

package faults

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// Measures of a chart, in pixels.
const (
	chartWidth   = 860
	panelLeft    = 70
	panelWidth   = 760
	panelHeight  = 110
	panelSpacing = 46
	panelsTop    = 40
	legendWidth  = 110
)

// The colours of the lines: of the three of a kind, and of what is of all of them.
var gatewayColours = [nodes]string{"#2f6fed", "#e8a33d", "#1e8e3e"}

const allColour = "#80868b"

// chart is panels below each other over the same time. It has its own background, so that
// it can be read on a dark page.
type chart struct {
	title  string // for who does not see it
	note   string // what grey means
	legend []line
	grey   []stretch
	panels []panel
}

// panel has lines from 0 up.
type panel struct {
	name   string
	format func(float64) string
	lines  []line
	// bound is drawn across, where it is not 0.
	bound float64
}

// line is one of a panel.
type line struct {
	name, colour string
	at           []time.Duration
	values       []float64
}

func (l *line) add(at time.Duration, value float64) {
	l.at, l.values = append(l.at, at), append(l.values, value)
}

// stretch is a part of the time.
type stretch struct{ from, to time.Duration }

func (c chart) svg() string {
	var b strings.Builder
	for i, l := range c.legend {
		x := panelLeft + legendWidth*i
		fmt.Fprintf(&b, `<rect x="%d" y="10" width="12" height="3" fill="%s"/>`+"\n", x, l.colour)
		label(&b, x+18, 15, "", l.name)
	}
	label(&b, panelLeft+legendWidth*len(c.legend), 15, `fill="#5f6368"`, c.note)
	end, y := c.end(), panelsTop
	for _, p := range c.panels {
		p.draw(&b, c.grey, end, y)
		y += panelHeight + panelSpacing
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#202124" role="img" aria-label="%[4]s">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%[3]s</svg>\n", chartWidth, y, b.String(), html.EscapeString(c.title))
}

// end returns the last time of all lines.
func (c chart) end() time.Duration {
	end := time.Second
	for _, p := range c.panels {
		for _, l := range p.lines {
			if n := len(l.at); n > 0 {
				end = max(end, l.at[n-1])
			}
		}
	}
	return end
}

// top returns the value at the upper edge.
func (p panel) top() float64 {
	most := max(1e-9, p.bound)
	for _, l := range p.lines {
		for _, v := range l.values {
			most = max(most, v)
		}
	}
	return 1.1 * most
}

func (p panel) draw(b *strings.Builder, grey []stretch, end time.Duration, y int) {
	top := p.top()
	x := func(d time.Duration) float64 { return panelLeft + panelWidth*min(d, end).Seconds()/end.Seconds() }
	height := func(v float64) float64 { return float64(y+panelHeight) - panelHeight*v/top }
	for _, g := range grey {
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f1f3f4"/>`+"\n", x(g.from), y, x(g.to)-x(g.from), panelHeight)
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#dadce0"/>`+"\n", panelLeft, y, panelWidth, panelHeight)
	label(b, panelLeft, y-5, `font-weight="600"`, p.name)
	label(b, panelLeft-6, y+10, `text-anchor="end" fill="#5f6368"`, p.format(top))
	label(b, panelLeft-6, y+panelHeight, `text-anchor="end" fill="#5f6368"`, "0")
	label(b, panelLeft+panelWidth, y+panelHeight+14, `text-anchor="end" fill="#5f6368"`, end.Round(time.Second).String())
	if p.bound > 0 {
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#d93025" stroke-dasharray="4 3"/>`+"\n", panelLeft, height(p.bound), panelWidth)
	}
	for _, l := range p.lines {
		var points []string
		for i, at := range l.at {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(at), height(l.values[i])))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), l.colour)
	}
}

func label(b *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(content))
}

// gatewayLines returns an empty line for each gateway.
func gatewayLines() []line {
	lines := make([]line, nodes)
	for i := range lines {
		lines[i] = line{name: fmt.Sprintf("gateway-%d", i), colour: gatewayColours[i]}
	}
	return lines
}
