//go:build linux

package faults

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// measure is what is sampled of a gateway, and how much it may grow.
type measure struct {
	Name string
	Unit string // how a value is written: "MiB" or nothing
	of   func(Sample) float64
	// share and least bound the growth over the time that is judged: so much of the
	// median, or so much at least, whichever is greater.
	share, least float64
}

const mebibyte = 1 << 20

// measures are all of them. Memory is what is a process's own: pages of the ring's
// file that are mapped come and go with what is read.
var measures = []measure{
	{Name: "memory", Unit: "MiB", of: func(s Sample) float64 { return float64(s.Memory) / mebibyte }, share: 0.10, least: 8},
	{Name: "goroutines", of: func(s Sample) float64 { return float64(s.Goroutines) }, share: 0.05, least: 20},
	{Name: "open files", of: func(s Sample) float64 { return float64(s.Files) }, share: 0.05, least: 20},
	{Name: "ring file", Unit: "MiB", of: func(s Sample) float64 { return float64(s.RingFile) / mebibyte }, share: 0.10, least: 1},
}

// bound returns how much a series of that median may grow.
func (m measure) bound(median float64) float64 { return max(m.share*median, m.least) }

// format returns a value with its unit.
func (m measure) format(v float64) string {
	if m.Unit == "" {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f %s", v, m.Unit)
}

// Trend is how a series went over the time that is judged.
type Trend struct {
	Gateway int     `json:"gateway"`
	Measure string  `json:"measure"`
	Median  float64 `json:"median"`
	Growth  float64 `json:"growth"` // over that time, by the line through it
	Bound   float64 `json:"bound"`
}

// Grows reports whether it went up by more than it may.
func (t Trend) Grows() bool { return t.Growth > t.Bound }

// slope returns the slope a second of the line through points, by Theil and Sen: the
// median of the slopes between all pairs, which a third of the points can be anything
// without changing much.
func slope(at []time.Duration, values []float64) float64 {
	var slopes []float64
	for i := range values {
		for j := i + 1; j < len(values); j++ {
			if dt := (at[j] - at[i]).Seconds(); dt > 0 {
				slopes = append(slopes, (values[j]-values[i])/dt)
			}
		}
	}
	return median(slopes)
}

// median returns the median, NaN of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// trend judges the samples of one gateway after a time.
func (m measure) trend(gateway int, samples []Sample, after time.Duration) Trend {
	var at []time.Duration
	var values []float64
	for _, s := range samples {
		if s.At >= after && s.Gateway == gateway {
			at = append(at, s.At)
			values = append(values, m.of(s))
		}
	}
	t := Trend{Gateway: gateway, Measure: m.Name}
	if len(at) > 1 { // else the run has failed before
		t.Median = median(values)
		t.Bound = m.bound(t.Median)
		t.Growth = slope(at, values) * (at[len(at)-1] - at[0]).Seconds()
	}
	return t
}
