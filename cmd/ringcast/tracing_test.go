package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlp is a collector: an endpoint of OTLP over HTTP that keeps what it is sent.
type otlp struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex // guards spans, service and grown; nothing blocks while it is held
	spans   []*trace.Span
	service map[string]string
	grown   chan struct{} // closed by the next export, which makes a new one
}

// newOTLP starts a collector and has the environment name it.
func newOTLP(t *testing.T) *otlp {
	t.Helper()
	c := &otlp{t: t, service: map[string]string{}, grown: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(c.export))
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return c
}

func (c *otlp) export(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range request.ResourceSpans {
		for _, a := range from.Resource.Attributes {
			c.service[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range from.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	close(c.grown)
	c.grown = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// await returns the spans of a trace, by their names, once there are all of these.
func (c *otlp) await(traceID string, names ...string) map[string]*trace.Span {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		found, grown := map[string]*trace.Span{}, c.grown
		for _, s := range c.spans {
			if traceID == "" || hex.EncodeToString(s.TraceId) == traceID {
				found[s.Name] = s
			}
		}
		c.mu.Unlock()
		if !slices.ContainsFunc(names, func(name string) bool { return found[name] == nil }) {
			return found
		}
		select {
		case <-grown:
		case <-deadline:
			c.t.Fatalf("trace %s has %v, want %v", traceID, found, names)
		}
	}
}

// all returns every span so far.
func (c *otlp) all() []*trace.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// parents names each span's parent, "" for one that is elsewhere.
func parents(spans map[string]*trace.Span) map[string]string {
	names := map[string]string{}
	for name, s := range spans {
		names[string(s.SpanId)] = name
	}
	of := map[string]string{}
	for name, s := range spans {
		of[name] = names[string(s.ParentSpanId)]
	}
	return of
}

func attribute(s *trace.Span, key string) *common.AnyValue {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	sampled     = "00-" + clientTrace + "-" + clientSpan + "-01"
	notSampled  = "00-" + clientTrace + "-" + clientSpan + "-00"
)

// post publishes over HTTP with headers, which are pairs, and returns the answer.
func post(t *testing.T, url, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res
}

// One trace tells the way of an event, from the call that published it to the first
// client that had it.
func TestServe_Trace(t *testing.T) {
	c := newOTLP(t)
	t.Setenv("OTEL_SERVICE_NAME", "tickers")
	server, ready := serve(t, "--data-dir", t.TempDir())
	subs := []*program{
		launch(t, "sub", "events.>", "--from", "oldest", "--format", "raw", "--url", ready.URL),
		launch(t, "sub", "events.>", "--from", "oldest", "--format", "raw", "--url", ready.URL),
	}
	post(t, ready.URL+"v1/publish/events.x", "hello", "traceparent", sampled)
	for _, sub := range subs {
		sub.stdout.await(t, 1)
	}
	const call = "POST /v1/publish/:subject"
	spans := c.await(clientTrace, call, "publish", "ingest", "ring", "deliver")
	want := map[string]string{call: "", "publish": call, "ingest": "publish", "ring": "ingest", "deliver": "ingest"}
	if diff := cmp.Diff(want, parents(spans)); diff != "" {
		t.Errorf("parents differ (-want +got):\n%s", diff)
	}
	if got := hex.EncodeToString(spans[call].ParentSpanId); got != clientSpan {
		t.Errorf("the call's parent is %s", got)
	}
	for name, key := range map[string]string{"publish": "messaging.destination.name", "ingest": "messaging.message.id", "deliver": "messaging.message.id"} {
		if attribute(spans[name], key) == nil {
			t.Errorf("span %s has no %s: %v", name, key, spans[name])
		}
	}
	if got := attribute(spans[call], "http.response.status_code").GetIntValue(); got != 200 {
		t.Errorf("status is %d", got)
	}

	if stored := spans["ingest"].Events; len(stored) != 1 || stored[0].Name != "stored" || stored[0].TimeUnixNano == 0 {
		t.Errorf("the events of ingest are %v", stored)
	}

	server.stop(t) // exports what is left
	count := map[string]int{}
	for _, s := range c.all() {
		if hex.EncodeToString(s.TraceId) == clientTrace {
			count[s.Name]++
		}
	}
	if diff := cmp.Diff(map[string]int{call: 1, "publish": 1, "ingest": 1, "ring": 1, "deliver": 1}, count); diff != "" {
		t.Errorf("spans differ (-want +got):\n%s", diff)
	}
	if c.service["service.name"] != "tickers" || c.service["service.version"] == "" || c.service["host.name"] == "" {
		t.Errorf("the service is %v", c.service)
	}
}

// A producer's own traceparent in the headers of NATS, in either spelling, begins the
// trace, and one that is not sampled none.
func TestServe_TraceOfProducer(t *testing.T) {
	c := newOTLP(t)
	server, ready := serve(t, "--data-dir", t.TempDir())
	nc, err := nats.Connect(ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var want []string
	for i, m := range []struct{ header, value string }{
		{"traceparent", sampled},
		{"Traceparent", strings.Replace(sampled, clientTrace, "11111111111111111111111111111111", 1)},
		{"traceparent", strings.Replace(notSampled, clientTrace, "22222222222222222222222222222222", 1)},
		{"traceparent", "00-no-trace-01"},
		{"traceparent", strings.Repeat("1", 4096)},
	} {
		msg := &nats.Msg{Subject: "events.x", Data: []byte{byte('0' + i)}, Header: nats.Header{m.header: {m.value}}}
		if _, err := nc.RequestMsg(msg, patience); err != nil {
			t.Fatal(err)
		}
		want = append(want, string(msg.Data))
	}
	got := command(t, "sub", "events.>", "--from", "oldest", "--count", "5", "--format", "raw", "--url", ready.URL)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	for _, id := range []string{clientTrace, "11111111111111111111111111111111"} {
		spans := c.await(id, "ingest", "ring", "deliver")
		if diff := cmp.Diff(map[string]string{"ingest": "", "ring": "ingest", "deliver": "ingest"}, parents(spans)); diff != "" {
			t.Errorf("parents differ (-want +got):\n%s", diff)
		}
		if got := hex.EncodeToString(spans["ingest"].ParentSpanId); got != clientSpan {
			t.Errorf("the parent of ingest is %s", got)
		}
	}
	server.stop(t)
	for _, s := range c.all() {
		if id := hex.EncodeToString(s.TraceId); s.Name == "ingest" && id != clientTrace && !strings.HasPrefix(id, "1111") {
			t.Errorf("trace %s has a span %s", id, s.Name)
		}
	}
}

// The span of a stream ends when the stream is opened.
func TestServe_TraceOfStream(t *testing.T) {
	c := newOTLP(t)
	_, ready := serve(t, "--data-dir", t.TempDir())
	sub := launch(t, "sub", "events.>", "--url", ready.URL)
	span := c.await("", "GET /v1/stream")["GET /v1/stream"]
	select {
	case status := <-sub.status:
		t.Fatalf("the stream has ended, with %d", status)
	default:
	}
	if got := attribute(span, "http.response.status_code").GetIntValue(); got != 200 {
		t.Errorf("status is %d", got)
	}
}

// What the standard variables say counts, and a collector that is away is no more than
// a warning.
func TestServe_TraceVariables(t *testing.T) {
	for name, tc := range map[string]struct {
		env    map[string]string
		traced bool
		says   string
	}{
		"on":                     {nil, true, "traces are exported"},
		"disabled":               {map[string]string{"OTEL_SDK_DISABLED": "true"}, false, ""},
		"exporter none":          {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"another exporter":       {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER can be otlp or none"},
		"never sampled":          {map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}, false, "traces are exported"},
		"another protocol":       {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, "traces go by http/protobuf"},
		"headers make no sense":  {map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "hush"}, true, "traces are exported"},
		"nothing asks for them":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, false, ""},
		"nobody is at the other": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false, "traces cannot be exported"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newOTLP(t)
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			server, ready := serve(t, "--data-dir", t.TempDir())
			post(t, ready.URL+"v1/publish/events.x", "hello", "traceparent", sampled)
			server.stop(t)
			if spans := c.all(); (len(spans) > 0) != tc.traced {
				t.Errorf("there are %d spans", len(spans))
			}
			log := server.stderr.String()
			if !strings.Contains(log, tc.says) || tc.says == "" && strings.Contains(log, "trace") {
				t.Errorf("the log is %s", log)
			}
			if strings.Contains(log, "hush") {
				t.Errorf("the log has the headers: %s", log)
			}
		})
	}
	t.Run("no URL", func(t *testing.T) {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "user:hush@collector:4318")
		p := launch(t, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--nats-listen", "-1")
		status, said := p.end(t), p.stderr.String()
		if status != exitError || !strings.Contains(said, "OTEL_EXPORTER_OTLP_ENDPOINT is no URL") || strings.Contains(said, "hush") {
			t.Errorf("ended with %d: %s", status, said)
		}
	})
}
