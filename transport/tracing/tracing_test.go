package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"ringcast/broker"
	"ringcast/transport/tracing"
)

// newTracing returns a Tracing and where its spans are.
func newTracing(t *testing.T, opts ...sdktrace.TracerProviderOption) (*tracing.Tracing, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(recorder))...)
	t.Cleanup(func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tracing.New(provider), recorder
}

// names counts the spans that have ended by their names.
func names(r *tracetest.SpanRecorder) map[string]int {
	count := map[string]int{}
	for _, s := range r.Ended() {
		count[s.Name()]++
	}
	return count
}

func wantNames(t *testing.T, r *tracetest.SpanRecorder, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, names(r)); diff != "" {
		t.Errorf("spans differ (-want +got):\n%s", diff)
	}
}

// event returns one that was just stored.
func event(seq int) broker.Event {
	return broker.Event{ID: broker.ID{Seq: uint64(seq), Stamp: time.Now().UnixNano()}, Subject: "events.x"}
}

func parent(n int, flags string) nats.Header {
	return nats.Header{"traceparent": {fmt.Sprintf("00-%032x-%016x-%s", n+1, n+1, flags)}}
}

// ingest takes events in whose traces are sampled, and returns them as they are
// delivered.
func ingest(tr *tracing.Tracing, err error, events ...broker.Event) (out []*broker.Delivery) {
	var origins []*tracing.Origin
	for i := range events {
		e := &events[i]
		if o := tr.Origin(e.ID, e.Subject, parent(int(e.ID.Seq), "01")); o != nil {
			origins = append(origins, o)
		}
		out = append(out, &broker.Delivery{Event: *e})
	}
	tr.StartIngest(origins, events).End(err)
	return out
}

// Only the first delivery is a span, whoever has it.
func TestTracing_FirstDelivery(t *testing.T) {
	tr, spans := newTracing(t)
	events := ingest(tr, nil, event(1), event(2), event(3))
	tr.Delivered(events[1:2], time.Now())
	tr.Delivered(events, time.Now())
	tr.Delivered(events, time.Now())
	tr.Delivered(nil, time.Now())
	wantNames(t, spans, map[string]int{"ingest": 3, "ring": 3, "deliver": 3})
	for _, s := range spans.Ended() {
		if s.Parent().TraceID() != s.SpanContext().TraceID() {
			t.Errorf("%s is in trace %s, its parent in %s", s.Name(), s.SpanContext().TraceID(), s.Parent().TraceID())
		}
	}
}

// What the ring has not taken in cannot be delivered, and its spans say so.
func TestTracing_IngestFails(t *testing.T) {
	tr, spans := newTracing(t)
	tr.Delivered(ingest(tr, errors.New("the disk is full"), event(1)), time.Now())
	wantNames(t, spans, map[string]int{"ingest": 1, "ring": 1})
	for _, s := range spans.Ended() {
		if s.Name() == "ingest" && s.Status().Code != codes.Error {
			t.Errorf("the status is %v", s.Status())
		}
	}
}

// An event costs nothing without a sampled traceparent, nor one of long ago, of which
// there are a million when a ring is filled again.
func TestTracing_Origin(t *testing.T) {
	tr, _ := newTracing(t)
	old := event(1)
	old.ID.Stamp = time.Now().Add(-2 * time.Minute).UnixNano()
	canonical := nats.Header{"Traceparent": parent(1, "01")["traceparent"]}
	for name, tc := range map[string]struct {
		event  broker.Event
		header nats.Header
		want   bool
	}{
		"sampled":         {event(1), parent(1, "01"), true},
		"with more flags": {event(1), parent(1, "03"), true},
		"canonical":       {event(1), canonical, true},
		"a later version": {event(1), nats.Header{"traceparent": {"01" + parent(1, "01")["traceparent"][0][2:]}}, true},
		"not sampled":     {event(1), parent(1, "00"), false},
		"no header":       {event(1), nil, false},
		"other headers":   {event(1), nats.Header{"Ringcast-Event": {"a"}}, false},
		"no value":        {event(1), nats.Header{"traceparent": {}}, false},
		"not a trace":     {event(1), nats.Header{"traceparent": {strings.Repeat("1", 55)}}, false},
		"zeros":           {event(1), nats.Header{"traceparent": {"00-00000000000000000000000000000000-0000000000000000-01"}}, false},
		"stored long ago": {old, parent(1, "01"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tr.Origin(tc.event.ID, tc.event.Subject, tc.header) != nil; got != tc.want {
				t.Errorf("is traced: %v, want %v", got, tc.want)
			}
		})
	}
}

// The configured sampler has the last word.
func TestTracing_Sampler(t *testing.T) {
	tr, spans := newTracing(t, sdktrace.WithSampler(sdktrace.NeverSample()))
	tr.Delivered(ingest(tr, nil, event(1)), time.Now())
	wantNames(t, spans, map[string]int{})
}

// What nobody is there for is kept no longer than there is room, the newest of it.
func TestTracing_WaitingIsBounded(t *testing.T) {
	const most, more = 1024, 100
	tr, spans := newTracing(t)
	var all []*broker.Delivery
	for seq := range most + more {
		all = append(all, ingest(tr, nil, event(seq+1))...)
	}
	tr.Delivered(all, time.Now())
	wantNames(t, spans, map[string]int{"ingest": most + more, "ring": most + more, "deliver": most})
}

// A stream that was made again begins at 1 again: what waits of the other is gone, and
// an event of the same sequence is another one.
func TestTracing_OtherStream(t *testing.T) {
	tr, spans := newTracing(t)
	before := ingest(tr, nil, event(1), event(2), event(3))
	after := ingest(tr, nil, event(1), event(2))
	tr.Delivered(before, time.Now())
	wantNames(t, spans, map[string]int{"ingest": 5, "ring": 5})
	tr.Delivered(after, time.Now())
	wantNames(t, spans, map[string]int{"ingest": 5, "ring": 5, "deliver": 2})
}

// What a gateway publishes by itself is no trace.
func TestTracing_PublishAlone(t *testing.T) {
	tr, spans := newTracing(t)
	ctx, span := tr.StartPublish(context.Background(), "events.x")
	tracing.End(span, nil)
	msg := &nats.Msg{}
	if tracing.Inject(ctx, msg); msg.Header != nil {
		t.Errorf("header is %v", msg.Header)
	}
	wantNames(t, spans, map[string]int{})
}

// Off, everything may be called, and the trace of a call still goes on with its event.
func TestTracing_Off(t *testing.T) {
	var tr *tracing.Tracing
	for _, d := range ingest(tr, nil, event(1)) {
		tr.Delivered([]*broker.Delivery{d}, time.Now())
	}
	r, err := http.NewRequest(http.MethodPost, "/v1/publish/events.x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("traceparent", parent(1, "00")["traceparent"][0])
	r.Header.Set("tracestate", "vendor=1")
	ctx, call := tr.StartRequest(r, "/v1/publish/:subject")
	ctx, publish := tr.StartPublish(ctx, "events.x")
	msg := &nats.Msg{}
	tracing.Inject(ctx, msg)
	want := parent(1, "00")
	want["tracestate"] = []string{"vendor=1"}
	if diff := cmp.Diff(want, msg.Header); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
	if call.IsRecording() || publish.IsRecording() {
		t.Error("a span is recorded")
	}

	none := &nats.Msg{}
	if tracing.Inject(context.Background(), none); none.Header != nil {
		t.Errorf("header is %v", none.Header)
	}
}

// Nothing of it allocates for an event that is not traced, on or off.
func TestTracing_Allocs(t *testing.T) {
	on, _ := newTracing(t)
	ingest(on, nil, event(1000)) // for which nobody is there
	for name, tr := range map[string]*tracing.Tracing{"off": nil, "on": on} {
		e, header := event(1), parent(1, "00")
		events, deliveries, now := []broker.Event{e}, []*broker.Delivery{{Event: e}}, time.Now()
		if n := testing.AllocsPerRun(100, func() {
			_ = tr.Origin(e.ID, e.Subject, header)
			tr.StartIngest(nil, events).End(nil)
			tr.Delivered(deliveries, now)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzOrigin feeds headers of producers: whatever they are, nothing panics, and what is
// traced has a sampled parent.
func FuzzOrigin(f *testing.F) {
	f.Add(parent(1, "01")["traceparent"][0], "a=b")
	f.Add(parent(1, "00")["traceparent"][0], "")
	f.Add("00-no-trace-01", strings.Repeat(",", 600))
	tr := tracing.New(sdktrace.NewTracerProvider())
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		e := event(1)
		o := tr.Origin(e.ID, e.Subject, nats.Header{"traceparent": {traceparent}, "tracestate": {tracestate}})
		if o == nil {
			return
		}
		flags, err := trace.SpanIDFromHex(strings.Repeat("0", 14) + traceparent[53:55])
		if err != nil || flags[7]&1 == 0 {
			t.Errorf("%q is traced", traceparent)
		}
	})
}

func BenchmarkDelivered(b *testing.B) {
	provider := sdktrace.NewTracerProvider()
	on := tracing.New(provider)
	ingest(on, nil, event(1000))
	deliveries := []*broker.Delivery{{Event: event(1)}}
	now := time.Now()
	for name, tr := range map[string]*tracing.Tracing{"off": nil, "on": on} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tr.Delivered(deliveries, now)
			}
		})
	}
}
