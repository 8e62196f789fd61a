package tracing

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ringcast/broker"
)

// maxWaiting bounds the traced events that no client has had yet. The oldest goes
// first: an event that nobody is there for waits until then.
const maxWaiting = 1024

// Delivered makes the spans of those among these events that no client had before.
// They ascend, and have been written to one since start.
func (t *Tracing) Delivered(events []*broker.Delivery, start time.Time) {
	if t == nil || len(events) == 0 || !t.waiting.within(events[0].ID.Seq, events[len(events)-1].ID.Seq) {
		return
	}
	for _, d := range t.waiting.take(events) {
		_, span := t.tracer.Start(trace.ContextWithSpanContext(context.Background(), d.parent), "deliver",
			trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(start),
			trace.WithAttributes(of(d.id, d.subject)...), trace.WithAttributes(semconv.MessagingOperationTypeSend))
		span.End()
	}
}

// delivery is a traced event that is waiting for its first delivery.
type delivery struct {
	id      broker.ID
	subject string
	// parent is what its span is a child of.
	parent trace.SpanContext
}

// waiting is the events that wait for their first delivery.
type waiting struct {
	// oldest and newest are bounds of their sequences, for who delivers something else
	// not to need mu. They are there before an event can be delivered. Without events
	// oldest is MaxUint64.
	oldest, newest atomic.Uint64

	mu     sync.Mutex // guards events; nothing blocks while it is held
	events []delivery // their sequences ascend
}

func newWaiting() *waiting {
	w := &waiting{}
	w.oldest.Store(math.MaxUint64)
	return w
}

// within reports whether an event of these sequences may be waiting.
func (w *waiting) within(first, last uint64) bool {
	return last >= w.oldest.Load() && first <= w.newest.Load()
}

func (w *waiting) add(d delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.events); n > 0 && w.events[n-1].id.Seq >= d.id.Seq {
		w.events = nil // they were another stream's
	}
	if len(w.events) == maxWaiting {
		w.events = slices.Delete(w.events, 0, 1)
	}
	w.events = append(w.events, d)
	w.noteBoundsLocked()
}

// take returns those of the events that are waiting, and lets go of them.
func (w *waiting) take(events []*broker.Delivery) (taken []delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		if d, ok := w.removeLocked(e.ID); ok {
			taken = append(taken, d)
		}
	}
	w.noteBoundsLocked()
	return taken
}

func (w *waiting) remove(id broker.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(id)
	w.noteBoundsLocked()
}

func (w *waiting) removeLocked(id broker.ID) (d delivery, ok bool) {
	i, found := slices.BinarySearchFunc(w.events, id.Seq, func(d delivery, seq uint64) int { return cmp.Compare(d.id.Seq, seq) })
	if !found || w.events[i].id != id {
		return delivery{}, false
	}
	d = w.events[i]
	w.events = slices.Delete(w.events, i, i+1)
	return d, true
}

func (w *waiting) noteBoundsLocked() {
	oldest, newest := uint64(math.MaxUint64), uint64(0)
	if n := len(w.events); n > 0 {
		oldest, newest = w.events[0].id.Seq, w.events[n-1].id.Seq
	}
	w.oldest.Store(oldest)
	w.newest.Store(newest)
}
