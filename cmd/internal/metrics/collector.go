package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"ringcast/broker"
	"ringcast/replay"
	"ringcast/transport/access"
	"ringcast/transport/ask"
	"ringcast/transport/gateway"
	"ringcast/transport/jetstream"
)

// Parts are what metrics are read from. All but Desk are required.
type Parts struct {
	Gateway *gateway.Server
	Hub     *broker.Hub
	Ring    *replay.Ring
	// Oldest returns the oldest event within the bounds of the ring; ok is false where
	// there is none.
	Oldest func(broker.Bounds) (id broker.ID, ok bool)
	Client *jetstream.Client
	Reader *jetstream.Reader
	Access *access.Policy
	// Desk is nil where no questions are answered.
	Desk *ask.Desk
}

// collector reads the families from the parts at each scrape.
type collector struct {
	m *Metrics
	p Parts
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		out <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	r := c.read()
	for _, f := range families {
		desc := f.desc()
		for _, s := range f.read(r) {
			out <- prometheus.MustNewConstMetric(desc, f.kind, s.value, s.labels...)
		}
	}
}

func (c *collector) read() *reading {
	r := &reading{
		counters:      c.p.Gateway.Counters(),
		figures:       c.p.Gateway.Figures(),
		ring:          c.p.Ring.Stats(),
		client:        c.p.Client.Status(),
		reader:        c.p.Reader.Status(),
		subscriptions: c.p.Hub.Subscriptions(),
		keysReady:     c.p.Access.Ready() == nil,
		commitsFailed: c.m.commitsFailed.Load(),
		published:     [3]uint64{c.m.published.stored.Load(), c.m.published.duplicate.Load(), c.m.published.failed.Load()},
		asked:         c.p.Desk.Tally(),
	}
	if oldest, ok := c.p.Oldest(r.ring.Bounds); ok {
		r.oldest = float64(oldest.Stamp) / 1e9
	}
	return r
}

func (f family) desc() *prometheus.Desc {
	var names []string
	for _, l := range f.labels {
		names = append(names, l.name)
	}
	return prometheus.NewDesc(f.name, f.help, names, nil)
}
