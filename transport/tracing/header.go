package tracing

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The headers of a trace (https://www.w3.org/TR/trace-context/#trace-context-http-headers-format).
// NATS compares header keys byte by byte: they are written in lower case, as the
// standard asks for, and also read as HTTP libraries write them.
const (
	traceparent          = "traceparent"
	canonicalTraceparent = "Traceparent"
)

// traceparentLen is the length of version 00, which later ones begin with.
const traceparentLen = 55

// Inject gives a message the trace of the context, if it has one.
func Inject(ctx context.Context, msg *nats.Msg) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	if msg.Header == nil {
		msg.Header = nats.Header{}
	}
	propagation.TraceContext{}.Inject(ctx, carrier(msg.Header))
}

// Extract returns the context with the trace of a message that has these headers, if it
// has one.
func Extract(ctx context.Context, h nats.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, carrier(h))
}

// sampledParent returns the trace of a message; ok is false where there is none or
// it is not sampled, which is found out without allocating.
func sampledParent(h nats.Header) (parent trace.SpanContext, ok bool) {
	if len(h) == 0 {
		return trace.SpanContext{}, false
	}
	value := carrier(h).Get(traceparent)
	if len(value) < traceparentLen || !strings.ContainsRune("13579bdf", rune(value[traceparentLen-1])) {
		return trace.SpanContext{}, false
	}
	parent = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier(h)))
	return parent, parent.IsSampled()
}

// carrier is a message's header as propagators see it, in lower case or canonical.
type carrier nats.Header

func (c carrier) Get(key string) string {
	values, ok := c[key]
	if !ok {
		values = c[strings.ToUpper(key[:1])+key[1:]]
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (c carrier) Set(key, value string) { c[key] = []string{value} }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
