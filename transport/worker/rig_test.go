package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test: whoever waits that long waits for ever.
const patience = 60 * time.Second

// natsServer is an embedded server that can be stopped and started again on the same
// port and store.
type natsServer struct {
	t    testing.TB
	dir  string
	port int
	*jetstream.Embedded
}

func startNATS(t testing.TB) *natsServer {
	t.Helper()
	s := &natsServer{t: t, dir: t.TempDir(), port: -1}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *natsServer) start() {
	s.t.Helper()
	var err error
	if s.Embedded, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: s.dir, Port: s.port}); err != nil {
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

func (s *natsServer) stop() {
	if s.Embedded != nil {
		s.Shutdown()
		s.Embedded = nil
	}
}

func connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

// gateway is what a worker sees of one: it asks, and what the worker says is in the
// stream.
type gateway struct {
	t   testing.TB
	nc  *nats.Conn
	js  natsjs.JetStream
	ids int
}

func newGateway(t testing.TB, s *natsServer, change ...func(*natsjs.StreamConfig)) *gateway {
	t.Helper()
	g := &gateway{t: t, nc: connect(t, s.ClientURL())}
	var err error
	if g.js, err = natsjs.New(g.nc); err != nil {
		t.Fatal(err)
	}
	cfg := natsjs.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, AllowDirect: true}
	for _, f := range change {
		f(&cfg)
	}
	if _, err := g.js.CreateStream(within(t), cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// question returns one with its answer's claim stored, as a gateway does before it asks.
func (g *gateway) question(subject, body string) *nats.Msg {
	g.t.Helper()
	g.ids++
	id := fmt.Sprintf("%026d", g.ids)
	m := &nats.Msg{Subject: "ask." + subject, Data: []byte(body), Header: nats.Header{
		"Ringcast-Ask-Id":         {id},
		"Ringcast-Answer-Subject": {"events.answers." + id},
		"Ringcast-Cancel-Subject": {"_ask." + id + ".cancel"},
		"Ringcast-Alive-Subject":  {"_ask." + id + ".alive"},
		"Ringcast-Identity":       {"Ann%20%25%20%C3%A9"},
	}}
	claim := &nats.Msg{Subject: "events.answers." + id, Data: []byte("{}"), Header: nats.Header{"Ringcast-Event": {"ask"}}}
	if _, err := g.js.PublishMsg(within(g.t), claim); err != nil {
		g.t.Fatal(err)
	}
	return m
}

// request asks, and returns the reply.
func (g *gateway) request(m *nats.Msg) []byte {
	g.t.Helper()
	reply, err := g.nc.RequestMsgWithContext(within(g.t), m)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply.Data
}

// ask asks a question that has to be accepted, and returns its id.
func (g *gateway) ask(body string) (id string) {
	g.t.Helper()
	m := g.question("chat", body)
	if reply := g.request(m); len(reply) > 0 {
		g.t.Fatalf("the question was refused: %s", reply)
	}
	return m.Header.Get("Ringcast-Ask-Id")
}

// cancel stops an answer as DELETE does, and returns once the worker has heard of it.
func (g *gateway) cancel(id string) {
	g.t.Helper()
	if _, err := g.nc.RequestWithContext(within(g.t), "_ask."+id+".cancel", nil); err != nil {
		g.t.Fatal(err)
	}
}

// alive reports whether somebody is at work on the answer.
func (g *gateway) alive(id string) bool {
	_, err := g.nc.RequestWithContext(within(g.t), "_ask."+id+".alive", nil)
	return err == nil
}

// event is what is stored of an answer.
type event struct{ Type, Data string }

// reader reads an answer from its claim on.
type reader struct {
	t      testing.TB
	events natsjs.MessagesContext
}

func (g *gateway) read(id string) *reader {
	g.t.Helper()
	consumer, err := g.js.OrderedConsumer(within(g.t), "EVENTS", natsjs.OrderedConsumerConfig{FilterSubjects: []string{"events.answers." + id}})
	if err != nil {
		g.t.Fatal(err)
	}
	events, err := consumer.Messages()
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(events.Stop)
	return &reader{t: g.t, events: events}
}

func (r *reader) next() (e event, last bool) {
	r.t.Helper()
	m, err := r.events.Next(natsjs.NextContext(within(r.t)))
	if err != nil {
		r.t.Fatal(err)
	}
	return event{m.Headers().Get("Ringcast-Event"), string(m.Data())}, m.Headers().Get("Ringcast-End") == "true"
}

// all returns an answer's events, but its claim, once it has ended.
func (g *gateway) all(id string) (events []event) {
	g.t.Helper()
	r := g.read(id)
	defer r.events.Stop()
	for {
		e, last := r.next()
		if e.Type != "ask" {
			events = append(events, e)
		}
		if last {
			return events
		}
	}
}

// text is that of all add events.
func text(events []event) string {
	var b strings.Builder
	for _, e := range events {
		if e.Type == "add" {
			b.WriteString(e.Data)
		}
	}
	return b.String()
}

func wantEvents(t *testing.T, got []event, want ...event) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func wantFailure(t *testing.T, e event, reason string) {
	t.Helper()
	var f struct{ Reason, Detail string }
	if err := json.Unmarshal([]byte(e.Data), &f); err != nil || e.Type != "error" || f.Reason != reason {
		t.Errorf("got %q (%v), want an error with the reason %s", e, err, reason)
	}
}

// running is a worker that runs.
type running struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// run runs a worker on a connection of its own until the test ends.
func run(t testing.TB, s *natsServer, opt worker.Options, handle worker.Handler) *running {
	t.Helper()
	nc := connect(t, s.ClientURL())
	return runOn(t, nc, opt, handle)
}

func runOn(t testing.TB, nc *nats.Conn, opt worker.Options, handle worker.Handler) *running {
	t.Helper()
	if opt.Subject == "" {
		opt.Subject = "chat"
	}
	w, err := worker.New(nc, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cancel: cancel, done: make(chan struct{})}
	before := nc.NumSubscriptions()
	go func() {
		defer close(r.done)
		r.err = w.Run(ctx, handle)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	await(t, "the worker", func() bool { return nc.NumSubscriptions() > before })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

// stop ends the worker, and returns what Run has.
func (r *running) stop() error {
	r.cancel()
	return r.wait()
}

func (r *running) wait() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("Run does not return")
	}
	return r.err
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: waited for %v", what, patience)
		}
	}
}

// logBuffer is a log that a test reads.
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

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
