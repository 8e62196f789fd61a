package tracing

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ringcast/broker"
)

const (
	// MaxPerBatch bounds the events of one batch that are traced: the oldest.
	MaxPerBatch = 64
	// maxAge is how long ago an event may have been stored that is traced.
	maxAge = time.Minute
)

// Origin is where a traced event comes from.
type Origin struct {
	id      broker.ID
	subject string
	parent  trace.SpanContext
	arrived time.Time
}

// Origin returns that of an event that has just arrived; nil where it is not traced.
func (t *Tracing) Origin(id broker.ID, subject string, h nats.Header) *Origin {
	if t == nil {
		return nil
	}
	parent, ok := sampledParent(h)
	if !ok {
		return nil
	}
	now := time.Now()
	if now.Sub(id.Time()) > maxAge {
		return nil
	}
	return &Origin{id: id, subject: subject, parent: parent, arrived: now}
}

// Ingest is the spans of a batch's traced events while the ring takes it in.
type Ingest struct {
	t     *Tracing
	spans []ingestSpan
}

type ingestSpan struct {
	id         broker.ID
	span, ring trace.Span
}

// StartIngest begins the spans of those events of a batch that have an origin. From
// now on they may be delivered. Nil, of which End may be called, stands for none.
func (t *Tracing) StartIngest(origins []*Origin, events []broker.Event) *Ingest {
	if t == nil || len(origins) == 0 || len(events) == 0 {
		return nil
	}
	in := &Ingest{t: t}
	for _, o := range origins {
		if _, found := slices.BinarySearchFunc(events, o.id.Seq, bySeq); found {
			in.start(o, len(events))
		}
	}
	return in
}

func (in *Ingest) start(o *Origin, batch int) {
	ctx, span := in.t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), o.parent), "ingest",
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(o.arrived), trace.WithAttributes(of(o.id, o.subject)...),
		trace.WithAttributes(semconv.MessagingOperationTypeReceive, semconv.MessagingBatchMessageCount(batch)))
	if !span.SpanContext().IsSampled() { // the sampler's word counts
		return
	}
	span.AddEvent("stored", trace.WithTimestamp(o.id.Time()))
	_, ring := in.t.tracer.Start(ctx, "ring")
	in.t.waiting.add(delivery{id: o.id, subject: o.subject, parent: span.SpanContext()})
	in.spans = append(in.spans, ingestSpan{id: o.id, span: span, ring: ring})
}

// End ends the spans: with err, the ring has not taken the batch in.
func (in *Ingest) End(err error) {
	if in == nil {
		return
	}
	for _, s := range in.spans {
		if err != nil {
			s.span.SetStatus(codes.Error, "the ring has not taken it in")
			s.ring.RecordError(err)
			in.t.waiting.remove(s.id)
		}
		s.ring.End()
		s.span.End()
	}
}

func bySeq(e broker.Event, seq uint64) int { return cmp.Compare(e.ID.Seq, seq) }
