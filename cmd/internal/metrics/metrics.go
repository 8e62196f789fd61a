package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ringcast/replay"
)

// Build says which program runs.
type Build struct{ Version, Commit string }

// Metrics are those of one broker.
type Metrics struct {
	registry *prometheus.Registry
	// observed are the distributions; the rest is read by Watch's collector.
	observed map[string]prometheus.Histogram
	// commitsFailed and published count what nobody else does.
	commitsFailed atomic.Uint64
	published     published
}

// New returns metrics of the process and of what is observed, and nothing else yet.
func New(b Build) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), observed: make(map[string]prometheus.Histogram)}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: buildInfo.name,
		Help: buildInfo.help,
		ConstLabels: prometheus.Labels{
			"version": b.Version, "commit": b.Commit, "go_version": runtime.Version(),
		},
	})
	info.Set(1)
	m.registry.MustRegister(info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, d := range distributions {
		m.observed[d.name] = newHistogram(d)
		m.registry.MustRegister(m.observed[d.name])
	}
	return m
}

// newHistogram has native buckets, a tenth wide, for a Prometheus that asks for
// them, and classic ones for any other.
func newHistogram(d distribution) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            d.name,
		Help:                            d.help,
		Buckets:                         d.buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
}

// Watch adds what is read from the parts.
func (m *Metrics) Watch(p Parts) { m.registry.MustRegister(&collector{m, p}) }

// maxScrapes bounds the scrapes that are answered at a time.
const maxScrapes = 8

// Handler answers a scrape. What cannot be collected is logged and left out.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}

// Committed is replay.Options.Committed.
func (m *Metrics) Committed(c replay.Commit) {
	if c.Err != nil {
		m.commitsFailed.Add(1)
		return
	}
	m.observed[commitDuration].Observe(c.Took.Seconds())
}

// Resumed is gateway.Options.Resumed.
func (m *Metrics) Resumed(behind uint64) { m.observed[resumeEvents].Observe(float64(behind)) }
