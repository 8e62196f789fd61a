//go:build linux

package faults

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// series returns samples of gateway 1, one each five seconds for half an hour, of which
// a measure returns what value says of the part of the time that is over.
func series(value func(over float64) float64) []Sample {
	const n = 360
	var samples []Sample
	for i := range n {
		v := int(value(float64(i) / n))
		samples = append(samples, Sample{At: time.Duration(i) * 5 * time.Second, Gateway: 1, Goroutines: v, Files: v, Memory: int64(v) * mebibyte})
	}
	return samples
}

func TestMeasure_Trend(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func() float64 { return 60 * (rng.Float64() - 0.5) }
	for name, test := range map[string]struct {
		value func(float64) float64
		grows bool
	}{
		"the same throughout":              {func(float64) float64 { return 500 }, false},
		"noise":                            {func(float64) float64 { return 500 + noise() }, false},
		"grows steadily by a fifth":        {func(over float64) float64 { return 500 + 150*over }, true},
		"grows under noise":                {func(over float64) float64 { return 500 + 150*over + noise() }, true},
		"grows before it is judged":        {func(over float64) float64 { return min(500, 100+2000*over) }, false},
		"falls":                            {func(over float64) float64 { return 500 - 150*over }, false},
		"some are far off, all at the end": {func(over float64) float64 { return map[bool]float64{true: 5000, false: 500}[over > 0.85] }, false},
	} {
		t.Run(name, func(t *testing.T) {
			samples := series(test.value)
			samples = append(samples, Sample{At: time.Hour, Gateway: 0, Goroutines: 1e6}) // another's
			trend := measureOf("goroutines").trend(1, samples, 450*time.Second)
			if trend.Grows() != test.grows {
				t.Errorf("%+v", trend)
			}
		})
	}
}

func TestMeasure_Bound(t *testing.T) {
	m := measure{share: 0.1, least: 8}
	if got := m.bound(1000); got != 100 {
		t.Errorf("of much: %g", got)
	}
	if got := m.bound(10); got != 8 {
		t.Errorf("of little: %g", got)
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("of three: %g", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("of four: %g", got)
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("of nothing: %g", got)
	}
}

func TestSoakReport(t *testing.T) {
	p := &SoakReport{Report: newReport(Options{}, time.Now()), Samples: series(func(over float64) float64 { return 500 + 500*over }), Judged: 450 * time.Second}
	p.judge()
	err := p.Flat()
	if err == nil || !strings.Contains(err.Error(), "goroutines of gateway-1") {
		t.Errorf("judged %v", err)
	}
	short := &SoakReport{Report: p.Report, Samples: p.Samples, Judged: time.Hour}
	if err := short.Flat(); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("of one that was too short: %v", err)
	}
	if page := p.Page(); !strings.Contains(page, "| 1 | goroutines |") || !strings.Contains(page, "**grows**") {
		t.Errorf("the page is %s", page)
	}
	for chart := xml.NewDecoder(strings.NewReader(p.Chart())); ; {
		if _, err := chart.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read the chart: %v", err)
		}
	}
}

func TestAnonymousMemory(t *testing.T) {
	if n, err := anonymousMemory(os.Getpid()); err != nil || n < mebibyte {
		t.Errorf("%d bytes, %v", n, err)
	}
}
