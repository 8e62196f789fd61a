package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 860
	barLeft    = 150
	barWidth   = 520
	barHeight  = 16
	barGap     = 4
	groupGap   = 26
)

var colours = map[string]string{
	floorServer:     "#9aa0a6",
	jetstreamServer: "#9aa0a6",
	nchanServer:     "#e8a33d",
	ringcastServer:  "#2f6fed",
}

// chart draws the first figure of each row: for each server a bar, the longest of a
// row as wide as it gets. It draws its own background, so that it can be read on a
// dark page.
func (s *suite) chart() string {
	var b strings.Builder
	y := 20
	for _, r := range rows {
		if _, ok := s.median(r, ringcastServer, r.figures[0]); ok {
			y = s.drawGroup(&b, r, y)
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#202124" role="img" aria-label="Ringcast, nchan and a floor, measured in one run">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%[3]s</svg>\n", chartWidth, y, b.String())
}

// drawGroup draws a row from y down and returns where the next begins.
func (s *suite) drawGroup(b *strings.Builder, r row, y int) int {
	f := r.figures[0]
	text(b, 12, y, `font-weight="600"`, r.work)
	text(b, 12, y+15, `fill="#5f6368"`, f.name+f.better("shorter", "longer"))
	y += 24
	greatest := s.greatest(r)
	for _, server := range r.servers {
		v, ok := s.median(r, server, f)
		if !ok {
			continue
		}
		width := max(2, int(v/greatest*barWidth))
		text(b, 24, y+12, "", server)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="%s"/>`+"\n", barLeft, y, width, barHeight, colours[server])
		text(b, barLeft+width+6, y+12, "", f.format(v)+s.marked(r, server))
		y += barHeight + barGap
	}
	return y + groupGap
}

func (s *suite) greatest(r row) float64 {
	greatest := 1e-9 // of nothing but zeros the bars have no length
	for _, server := range r.servers {
		if v, ok := s.median(r, server, r.figures[0]); ok {
			greatest = max(greatest, v)
		}
	}
	return greatest
}

func text(b *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, html.EscapeString(content))
}
