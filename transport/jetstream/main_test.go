package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test: whoever waits that long waits for ever.
const patience = 30 * time.Second

const streamName = "EVENTS"

// testContext ends with the test, or when patience does.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// testServer is an embedded server that can be stopped and started again on the
// same port and store.
type testServer struct {
	t    testing.TB
	dir  string
	port int
	*jetstream.Embedded
}

func startServer(t testing.TB) *testServer {
	t.Helper()
	s := &testServer{t: t, dir: t.TempDir(), port: -1}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	var err error
	s.Embedded, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: s.dir, Port: s.port})
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(s.ClientURL())
	if err != nil {
		s.t.Fatal(err)
	}
	if s.port, err = strconv.Atoi(u.Port()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testServer) stop() {
	if s.Embedded != nil {
		s.Shutdown()
		s.Embedded = nil
	}
}

func connect(t testing.TB, url string) *jetstream.Client {
	t.Helper()
	c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// direct is a plain connection, for what a test does to a stream behind
// Ringcast's back.
func direct(t testing.TB, url string) natsjs.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func ensure(t testing.TB, c *jetstream.Client, change ...func(*jetstream.StreamConfig)) {
	t.Helper()
	cfg := jetstream.StreamConfig{Name: streamName, Subjects: []string{"events.>"}}
	for _, f := range change {
		f(&cfg)
	}
	ctx := testContext(t)
	awaitThat(t, "the stream", func() bool {
		err := c.EnsureStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrConfig) {
			t.Fatal(err)
		}
		if err != nil {
			t.Logf("trying again, as one should: %v", err)
		}
		return err == nil
	})
}

// makeStream makes the stream without Ringcast's safeguards. A server that still
// moves the files of a stream of that name out of the way, which it deleted a
// moment ago, says "error creating store for stream" and is asked again.
func makeStream(t testing.TB, js natsjs.JetStream, change ...func(*natsjs.StreamConfig)) natsjs.Stream {
	t.Helper()
	cfg := natsjs.StreamConfig{Name: streamName, Subjects: []string{"events.>"}, AllowDirect: true}
	for _, f := range change {
		f(&cfg)
	}
	const storeFailed = natsjs.ErrorCode(10049)
	var stream natsjs.Stream
	awaitThat(t, "the stream", func() bool {
		var err error
		stream, err = js.CreateStream(testContext(t), cfg)
		if refused := (*natsjs.APIError)(nil); errors.As(err, &refused) && refused.ErrorCode == storeFailed {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
	return stream
}

// publish publishes n events named by the prefix and their number, and returns
// the last sequence.
func publish(t testing.TB, c *jetstream.Client, subject, prefix string, n int) (last uint64) {
	t.Helper()
	ctx := testContext(t)
	for i := range n {
		p := broker.Publication{Subject: subject, Data: fmt.Appendf(nil, "%s%d", prefix, i), MsgID: fmt.Sprint("test-", published.Add(1))}
		ack, err := c.Publish(ctx, p)
		for errors.Is(err, broker.ErrUnavailable) && ctx.Err() == nil { // a restart that the client notices only now, a stream without a leader yet
			time.Sleep(10 * time.Millisecond)
			ack, err = c.Publish(ctx, p)
		}
		if err != nil {
			t.Fatal(err)
		}
		last = ack.Seq
	}
	return last
}

// published makes every message id its own, so that one can be sent again.
var published atomic.Int64

// memSink is a broker.Sink in memory. As a sink must, it checks that what it is
// given is in order.
type memSink struct {
	mu       sync.Mutex
	floor    broker.ID
	events   []broker.Event
	batches  []int
	resets   []broker.ID
	upstream broker.ID
	err      error         // of the next Append
	gate     chan struct{} // Append waits for it when not nil
	entered  chan struct{} // has a token when Append waits
	changed  map[chan struct{}]bool
	broken   error
}

func newSink() *memSink {
	return &memSink{changed: map[chan struct{}]bool{}, entered: make(chan struct{}, 1)}
}

func (s *memSink) Head() broker.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headLocked()
}

func (s *memSink) headLocked() broker.ID {
	if len(s.events) == 0 {
		return s.floor
	}
	return s.events[len(s.events)-1].ID
}

func (s *memSink) Append(events []broker.Event) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case s.entered <- struct{}{}:
		default:
		}
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tellLocked()
	if err := s.err; err != nil {
		s.err = nil
		return err
	}
	for i := range events {
		if head := s.headLocked(); events[i].ID.Seq <= head.Seq {
			s.broken = fmt.Errorf("append %s after %s", events[i].ID, head)
		}
		s.events = append(s.events, events[i])
	}
	s.batches = append(s.batches, len(events))
	return nil
}

func (s *memSink) Reset(at broker.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tellLocked()
	s.events, s.floor = nil, at
	s.resets = append(s.resets, at)
	return nil
}

func (s *memSink) Upstream(head broker.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tellLocked()
	s.upstream = head
}

func (s *memSink) tellLocked() {
	for ch := range s.changed {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// await waits until ok, which is called with the sink locked after each change.
func (s *memSink) await(t testing.TB, what string, ok func(*memSink) bool) {
	t.Helper()
	ctx := testContext(t)
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[ch] = true
	defer delete(s.changed, ch)
	for !ok(s) {
		s.mu.Unlock()
		select {
		case <-ch:
			s.mu.Lock()
		case <-ctx.Done():
			s.mu.Lock()
			t.Fatalf("waited for %s in vain: floor %s, head %s, %d events, resets %v", what, s.floor, s.headLocked(), len(s.events), s.resets)
		}
	}
	if s.broken != nil {
		t.Fatal(s.broken)
	}
}

func (s *memSink) awaitHead(t testing.TB, seq uint64) {
	t.Helper()
	s.await(t, fmt.Sprintf("head %d", seq), func(s *memSink) bool { return s.headLocked().Seq == seq })
}

// payloads returns the events' payloads. The slice is a copy.
func (s *memSink) payloads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.events {
		out = append(out, string(e.Data))
	}
	return out
}

func (s *memSink) all() []broker.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]broker.Event(nil), s.events...)
}

func (s *memSink) resetCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.resets)
}

// run starts a reader and returns it with a function that stops it and waits.
func run(t testing.TB, c *jetstream.Client, sink broker.Sink, change ...func(*jetstream.ReaderOptions)) (r *jetstream.Reader, stop func()) {
	t.Helper()
	opt := jetstream.ReaderOptions{Stream: streamName, AuditInterval: 50 * time.Millisecond}
	for _, f := range change {
		f(&opt)
	}
	r = jetstream.NewReader(c, opt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

// awaitThat polls what has no signal of its own.
func awaitThat(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// logBuffer is a log to look into.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func wantError(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("got error %v, want one that matches %q", err, target)
		}
	}
}
