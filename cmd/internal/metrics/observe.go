package metrics

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringcast/broker"
)

// Sink returns next with the size of its batches observed.
func (m *Metrics) Sink(next broker.Sink) broker.Sink { return sink{next, m.observed[batchEvents]} }

type sink struct {
	broker.Sink
	size prometheus.Observer
}

// Append implements broker.Sink.
func (s sink) Append(events []broker.Event) error {
	err := s.Sink.Append(events)
	if err == nil && len(events) > 0 {
		s.size.Observe(float64(len(events)))
	}
	return err
}

// published counts publications by their outcome.
type published struct{ stored, duplicate, failed atomic.Uint64 }

// Publisher returns next with its publications counted, and the time that they take
// observed.
func (m *Metrics) Publisher(next broker.Publisher) broker.Publisher { return publisher{next, m} }

type publisher struct {
	next broker.Publisher
	m    *Metrics
}

// Publish implements broker.Publisher.
func (p publisher) Publish(ctx context.Context, what broker.Publication) (broker.Receipt, error) {
	start := time.Now()
	receipt, err := p.next.Publish(ctx, what)
	switch {
	case err != nil:
		p.m.published.failed.Add(1)
		return receipt, err
	case receipt.Duplicate:
		p.m.published.duplicate.Add(1)
	default:
		p.m.published.stored.Add(1)
	}
	p.m.observed[publishDuration].Observe(time.Since(start).Seconds())
	return receipt, nil
}
