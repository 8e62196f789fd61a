package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ringcast/broker"
)

// scope names the spans' maker.
const scope = "ringcast"

// Tracing makes spans. Nil makes none.
type Tracing struct {
	tracer  trace.Tracer
	waiting *waiting
}

// New returns what makes spans for the provider's exporters.
func New(provider trace.TracerProvider) *Tracing {
	return &Tracing{tracer: provider.Tracer(scope), waiting: newWaiting()}
}

// off is what a nil Tracing's spans are: a no-op.
var off = trace.SpanFromContext(context.Background())

// StartRequest begins the span of an HTTP request, which goes on with the trace of
// the client where there is one. The context has the client's trace also where
// tracing is off: an event that it publishes carries it on.
func (t *Tracing) StartRequest(r *http.Request, route string) (context.Context, trace.Span) {
	ctx := r.Context()
	if r.Header.Get(traceparent) != "" { // in whatever letters: http.Header's are canonical
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if t == nil {
		return ctx, off
	}
	return t.tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(r.Method),
		semconv.HTTPRoute(route),
		semconv.URLPath(r.URL.Path),
	))
}

// StartPublish begins the span of storing an event, in the trace of the context. What
// the gateway publishes by itself has none.
func (t *Tracing) StartPublish(ctx context.Context, subject string) (context.Context, trace.Span) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, off
	}
	return t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		system, semconv.MessagingOperationTypeSend, semconv.MessagingDestinationName(subject)))
}

// system is the attribute that all spans of a message have. The semantic conventions
// name no value for NATS; this is what its instrumentations use.
var system = semconv.MessagingSystemKey.String("nats")

// of are the attributes of an event. Its payload is none.
func of(id broker.ID, subject string) []attribute.KeyValue {
	return []attribute.KeyValue{system, semconv.MessagingMessageID(id.String()), semconv.MessagingDestinationName(subject)}
}

// End ends a span: with err, as one of something that failed.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
