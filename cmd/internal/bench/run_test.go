//go:build linux

package bench_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ringcast/cmd/internal/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a server in the style of the floor that does to events what a test wants.
type peer struct {
	mu      sync.Mutex // guards what follows; nothing is awaited under it
	clients []chan string
	events  []string
	// deliver returns what is sent to a client for an event (both from 0), and
	// whether the stream then ends.
	deliver func(client, event int, text string) (send string, cut bool)
	// published, unless nil, is closed by the first event, which no stream gets that is
	// open by then.
	published chan struct{}
}

func newPeer(t *testing.T, deliver func(client, event int, text string) (string, bool)) string {
	return (&peer{deliver: deliver}).serve(t)
}

func (p *peer) serve(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sub/{id}", p.subscribe)
	mux.HandleFunc("POST /pub/{id}", p.publish)
	mux.HandleFunc("GET /v1/stream", p.subscribe)
	mux.HandleFunc("POST /v1/publish/{id}", p.publish)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func faithful(_, _ int, text string) (string, bool) { return text, false }

func (p *peer) subscribe(w http.ResponseWriter, r *http.Request) {
	out, flush := stream(w, r)
	io.WriteString(out, "id: 0\n\n")
	if p.published != nil {
		if flush() != nil {
			return
		}
		<-p.published
	}
	p.mu.Lock()
	n := len(p.clients)
	events := make(chan string, 10_000)
	p.clients = append(p.clients, events)
	if r.Header.Get("Last-Event-ID") == "1" { // that of the first: the rest follows
		for _, event := range p.events[1:] {
			events <- event
		}
	}
	p.mu.Unlock()
	for event := 0; flush() == nil; {
		select {
		case text := <-events:
			send, cut := text, false
			if !strings.Contains(text, "hello") { // a greeting is nothing to spoil
				send, cut = p.deliver(n, event, text)
				event++
			}
			io.WriteString(out, send)
			if cut {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// stream begins the answer, compressed where that is asked for by a path that can.
func stream(w http.ResponseWriter, r *http.Request) (io.Writer, func() error) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	if r.Header.Get("Accept-Encoding") != "gzip" || !strings.HasPrefix(r.URL.Path, "/v1/") {
		return w, flush
	}
	w.Header().Set("Content-Encoding", "gzip")
	compressed := gzip.NewWriter(w)
	return compressed, func() error { return errors.Join(compressed.Flush(), flush()) }
}

func (p *peer) publish(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events) == 0 && p.published != nil {
		close(p.published)
	}
	event := fmt.Sprintf("data: %s\nid: %d\n\n", body, len(p.events)+1)
	p.events = append(p.events, event)
	for _, c := range p.clients {
		c <- event
	}
}

// options returns those of a short run against a peer.
func options(url string) bench.Options {
	o := bench.Defaults()
	o.Target, o.Publish, o.URL = "floor", bench.OverHTTP, url
	o.Clients, o.Rate, o.Size = 4, 200, 60
	o.Warmup, o.Duration, o.Patience = 20*time.Millisecond, 200*time.Millisecond, time.Second
	o.PIDs = []int{os.Getpid()}
	return o
}

func measure(t *testing.T, o bench.Options) *bench.Result {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// faults are a result's.
type faults struct {
	Lost, Repeated, Disordered, Strayed, Gaps uint64
	Closed                                    int
}

func faultsOf(r *bench.Result) faults {
	return faults{r.Lost, r.Repeated, r.Disordered, r.Strayed, r.Gaps, r.Closed}
}

func TestRun_Fanout(t *testing.T) {
	for name, set := range map[string]func(*bench.Options){
		"at a rate":             func(*bench.Options) {},
		"as fast as it goes":    func(o *bench.Options) { o.Rate, o.Window = 0, 3 },
		"one client":            func(o *bench.Options) { o.Clients = 1 },
		"without being watched": func(o *bench.Options) { o.PIDs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(newPeer(t, faithful))
			set(&o)
			r := measure(t, o)
			if err := r.Faultless(); err != nil {
				t.Error(err)
			}
			// That none is lost is Faultless's to say: here the last ones may be on their way.
			if r.Published < 2 || 2*r.Deliveries < r.Published*uint64(o.Clients) || r.Seconds <= 0 {
				t.Errorf("%d events and %d deliveries in %g s", r.Published, r.Deliveries, r.Seconds)
			}
			if l := r.Latency; l == nil || l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
				t.Errorf("latency %+v", l)
			}
			if (r.Server != nil) != (o.PIDs != nil) {
				t.Errorf("server %+v with processes %v", r.Server, o.PIDs)
			}
		})
	}
}

func TestRun_Faults(t *testing.T) {
	o := func(t *testing.T, deliver func(client, event int, text string) (string, bool)) bench.Options {
		o := options(newPeer(t, deliver))
		o.Patience = 300 * time.Millisecond
		return o
	}
	on := func(event int, what func(text string) (string, bool)) func(int, int, string) (string, bool) {
		return func(client, n int, text string) (string, bool) {
			if client == 2 && n == event {
				return what(text)
			}
			return text, false
		}
	}
	nothing := func(string) (string, bool) { return "", false }
	var held string
	for _, tc := range []struct {
		name    string
		deliver func(int, int, string) (string, bool)
		want    faults
	}{
		{"none", faithful, faults{}},
		{"the first lost", on(0, nothing), faults{Lost: 1}},
		{"one lost", on(7, nothing), faults{Lost: 1}},
		{"one spoilt", on(7, func(text string) (string, bool) { return strings.Replace(text, "-", "_", 1), false }), faults{Lost: 1}},
		{"one twice", on(7, func(text string) (string, bool) { return text + text, false }), faults{Repeated: 1}},
		{"two exchanged", func(client, n int, text string) (string, bool) {
			switch {
			case client == 2 && n == 7:
				held = text
				return "", false
			case client == 2 && n == 8:
				return text + held, false
			}
			return text, false
		}, faults{Disordered: 1}},
		{"a gap told", on(7, func(text string) (string, bool) {
			return "event: ringcast.gap\ndata: {}\nid: 1\n\n" + text, false
		}), faults{Gaps: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := measure(t, o(t, tc.deliver))
			if diff := cmp.Diff(tc.want, faultsOf(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (r.Faultless() == nil) != (tc.want == faults{}) {
				t.Errorf("faultless: %v", r.Faultless())
			}
		})
	}
	for name, end := range map[string]func(){
		"a stream ended": func() {},
		"a stream cut":   func() { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			r := measure(t, o(t, on(7, func(text string) (string, bool) { end(); return text, true })))
			if r.Closed != 1 || r.Lost == 0 || r.Repeated+r.Disordered+r.Gaps != 0 {
				t.Errorf("%+v", faultsOf(r))
			}
		})
	}
	t.Run("the end lost", func(t *testing.T) { // which no later event gives away
		r := measure(t, o(t, func(client, n int, text string) (string, bool) {
			if client == 2 && n >= 7 {
				return "", false
			}
			return text, false
		}))
		if got := faultsOf(r); got.Lost == 0 || got != (faults{Lost: got.Lost}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestRun_Resume(t *testing.T) {
	for name, want := range map[string]faults{"all": {}, "one lost": {Lost: 1}} {
		t.Run(name, func(t *testing.T) {
			o := options(newPeer(t, func(client, event int, text string) (string, bool) {
				if client == 2 && event == 7 && want.Lost > 0 {
					return "", false
				}
				return text, false
			}))
			o.Scenario, o.Target, o.Events = bench.Resume, "nchan", 50 // the floor keeps nothing
			r := measure(t, o)
			if diff := cmp.Diff(want, faultsOf(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if all := uint64(o.Clients * o.Events); r.Deliveries != all-want.Lost {
				t.Errorf("%d deliveries of %d", r.Deliveries, all)
			}
		})
	}
}

// place returns the subject and the place that a peer's event is stamped with.
func place(text string) (subject, place uint64) {
	parts := strings.Split(strings.TrimPrefix(text, "data: "), "-")
	subject, _ = strconv.ParseUint(parts[1], 16, 64) // they are the load generator's own
	place, _ = strconv.ParseUint(parts[2], 16, 64)
	return subject, place
}

func TestRun_Conflate(t *testing.T) {
	const subjects = 3
	// Of the first nine events of each subject, every third is conflated away.
	conflated := func(_, _ int, text string) (string, bool) {
		if _, n := place(text); n < 10 && n%3 == 1 {
			return "", false
		}
		return text, false
	}
	on := func(number uint64, what func(text string) string) func(int, int, string) (string, bool) {
		return func(client, event int, text string) (string, bool) {
			if subject, n := place(text); client == 2 && subject == 1 && n >= 20 && (n == number || number == 0) {
				return what(text), false
			}
			return conflated(client, event, text)
		}
	}
	for _, tc := range []struct {
		name    string
		deliver func(int, int, string) (string, bool)
		want    faults
	}{
		{"none", conflated, faults{}},
		{"a subject's last lost", on(0, func(string) string { return "" }), faults{Lost: 1}},
		{"one twice", on(20, func(text string) string { return text + text }), faults{Repeated: 1}},
		{"an id that falls", on(20, func(text string) string { return strings.Replace(text, "\nid: ", "\nid: 0-", 1) }), faults{Disordered: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(newPeer(t, tc.deliver))
			o.Target, o.Subjects, o.Rate, o.Patience = "ringcast", subjects, 1000, 300*time.Millisecond
			o.Wildcard, o.Conflate = true, 100*time.Millisecond
			r := measure(t, o)
			if diff := cmp.Diff(tc.want, faultsOf(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := uint64(3 * o.Clients * subjects); tc.want == (faults{}) && r.Conflated != want {
				t.Errorf("%d conflated, want %d", r.Conflated, want)
			}
		})
	}
}

func TestRun_Wildcard(t *testing.T) {
	o := options(newPeer(t, faithful))
	o.Target, o.Subjects, o.Skew, o.Wildcard = "ringcast", 7, true, true
	r := measure(t, o)
	if err := r.Faultless(); err != nil || r.Deliveries < r.Published*uint64(o.Clients) {
		t.Errorf("%d events, %d deliveries: %v", r.Published, r.Deliveries, err)
	}
}

// A peer that sends everything to everybody sends half of it to the wrong ones.
func TestRun_Strayed(t *testing.T) {
	o := options(newPeer(t, faithful))
	o.Subjects = 2
	r := measure(t, o)
	if got := faultsOf(r); got.Strayed == 0 || got != (faults{Strayed: got.Strayed}) || r.Faultless() == nil {
		t.Errorf("%+v, %v", got, r.Faultless())
	}
}

func TestRun_Gzip(t *testing.T) {
	bytes := make(map[bool]float64)
	for _, compressed := range []bool{false, true} {
		o := options(newPeer(t, faithful))
		o.Target, o.Payload, o.Size, o.Gzip = "ringcast", bench.JSON, 1024, compressed
		r := measure(t, o)
		if err := r.Faultless(); err != nil || r.Gzip != compressed {
			t.Errorf("gzip %v: %v", r.Gzip, err)
		}
		bytes[compressed] = r.WireBytesPerDelivery
	}
	if bytes[false] < 1024 || bytes[true] > 700 {
		t.Errorf("%g bytes an event, %g compressed", bytes[false], bytes[true])
	}
	o := options(newPeer(t, faithful))
	o.Gzip = true // of which the floor knows nothing
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the server does not compress") {
		t.Errorf("error %v", err)
	}
}

func TestRun_Return(t *testing.T) {
	for name, want := range map[string]faults{"all": {}, "one lost": {Lost: 1}} {
		t.Run(name, func(t *testing.T) {
			lost := false
			o := options(newPeer(t, func(client, event int, text string) (string, bool) {
				if client == 3 && event == 7 && lost { // 0 to 2 are the probe and the first resume's
					return "", false
				}
				return text, false
			}))
			o.Scenario, o.Target, o.Events, o.Clients, o.Patience = bench.Resume, "nchan", 50, 2, 300*time.Millisecond
			o.Bookmark = measure(t, o).Bookmark
			lost = want.Lost > 0
			o.Scenario, o.Clients = bench.Return, 4
			r := measure(t, o)
			if diff := cmp.Diff(want, faultsOf(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if all := uint64(o.Clients * o.Events); r.Deliveries != all-want.Lost {
				t.Errorf("%d deliveries of %d", r.Deliveries, all)
			}
			if r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.Max*1e-3 > r.Seconds {
				t.Errorf("latency %+v", r.Latency)
			}
		})
	}
}

// An event that comes before the server has subscribed a client is none of it.
func TestRun_Greeting(t *testing.T) {
	o := options((&peer{deliver: faithful, published: make(chan struct{})}).serve(t))
	if err := measure(t, o).Faultless(); err != nil {
		t.Error(err)
	}
}

func TestRun_Idle(t *testing.T) {
	o := options(newPeer(t, faithful))
	o.Scenario, o.Clients, o.Duration = bench.Idle, 600, 10*time.Millisecond
	r := measure(t, o)
	if err := r.Faultless(); err != nil {
		t.Error(err)
	}
	// The peer, with its goroutine and queue for each client, is this process.
	if r.Server.MemoryPerClient < 10_000 {
		t.Errorf("a client costs %g bytes", r.Server.MemoryPerClient)
	}
}

func TestRun_Errors(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if !strings.HasSuffix(r.URL.Path, "bench.0") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = http.NewResponseController(w).Flush() // a client that has gone is no concern
		<-r.Context().Done()
	}))
	defer refuse.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		set  func(*bench.Options)
		want string
	}{
		{"nobody listens", t.Context(), func(o *bench.Options) { o.URL = gone.URL }, "connection refused"},
		{"streams are refused", t.Context(), func(o *bench.Options) { o.Prefix = "no" }, `the server answered "HTTP/1.1 503 Service Unavailable"`},
		{"publishing is refused", t.Context(), func(*bench.Options) {}, "the server answered 403 Forbidden"},
		{"no such process", t.Context(), func(o *bench.Options) { o.PIDs = []int{1 << 30} }, "measure process 1073741824"},
		{"ended", ctx, func(*bench.Options) {}, context.Canceled.Error()},
		{"no NATS", t.Context(), func(o *bench.Options) {
			o.Target, o.Publish, o.Clients = "ringcast", bench.OverNATS, 0
			o.NATSURL = "nats://127.0.0.1:1"
		}, "connect to NATS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(refuse.URL)
			o.Prefix = "events.bench"
			tc.set(&o)
			if _, err := bench.Run(tc.ctx, o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := bench.Run(ctx, options(refuse.URL)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not the context's", err)
	}
}
