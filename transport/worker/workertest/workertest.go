// Package workertest is the other side of a worker, for tests: a NATS server, a gateway that
// asks as PROTOCOL.md says, and what the worker has stored. It waits for nothing longer
// than [Patience].
package workertest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

// Patience bounds every wait of a test: whoever waits that long waits for ever.
const Patience = 60 * time.Second

// Server is an embedded server that can be stopped and started again on the same
// port and store.
type Server struct {
	t    testing.TB
	dir  string
	port int
	*jetstream.Embedded
}

// StartNATS starts a server for as long as the test takes.
func StartNATS(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), port: -1}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts it again after Stop.
func (s *Server) Start() {
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

// Stop stops it.
func (s *Server) Stop() {
	if s.Embedded != nil {
		s.Shutdown()
		s.Embedded = nil
	}
}

// Connect connects for as long as the test takes, across restarts.
func Connect(t testing.TB, url string) *nats.Conn {
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

// Gateway is what a worker sees of one: it asks, and what the worker says is in the
// stream.
type Gateway struct {
	Conn      *nats.Conn
	JetStream natsjs.JetStream

	t   testing.TB
	ids int
}

// NewGateway returns one with a stream, which change may configure otherwise.
func NewGateway(t testing.TB, s *Server, change ...func(*natsjs.StreamConfig)) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Conn: Connect(t, s.ClientURL())}
	var err error
	if g.JetStream, err = natsjs.New(g.Conn); err != nil {
		t.Fatal(err)
	}
	cfg := natsjs.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, AllowDirect: true}
	for _, f := range change {
		f(&cfg)
	}
	if _, err := g.JetStream.CreateStream(Within(t), cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

// Within ends with Patience.
func Within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Question returns one with its answer's claim stored, as a gateway does before it asks.
func (g *Gateway) Question(subject, body string) *nats.Msg {
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
	ack, err := g.JetStream.PublishMsg(Within(g.t), claim)
	if err != nil {
		g.t.Fatal(err)
	}
	m.Header["Ringcast-Answer-Sequence"] = []string{strconv.FormatUint(ack.Sequence, 10)}
	return m
}

// Request asks, and returns the reply.
func (g *Gateway) Request(m *nats.Msg) []byte {
	g.t.Helper()
	reply, err := g.Conn.RequestMsgWithContext(Within(g.t), m)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply.Data
}

// Ask asks on chat what has to be accepted, and returns its id.
func (g *Gateway) Ask(body string) (id string) {
	g.t.Helper()
	m := g.Question("chat", body)
	if reply := g.Request(m); len(reply) > 0 {
		g.t.Fatalf("the question was refused: %s", reply)
	}
	return m.Header.Get("Ringcast-Ask-Id")
}

// Cancel stops an answer as DELETE does, and returns once the worker has heard of it.
func (g *Gateway) Cancel(id string) {
	g.t.Helper()
	if _, err := g.Conn.RequestWithContext(Within(g.t), "_ask."+id+".cancel", nil); err != nil {
		g.t.Fatal(err)
	}
}

// Alive reports whether somebody is at work on the answer.
func (g *Gateway) Alive(id string) bool {
	_, err := g.Conn.RequestWithContext(Within(g.t), "_ask."+id+".alive", nil)
	return err == nil
}

// Event is what is stored of an answer.
type Event struct{ Type, Data string }

// Reader reads an answer from its claim on.
type Reader struct {
	t      testing.TB
	events natsjs.MessagesContext
}

// Read reads an answer.
func (g *Gateway) Read(id string) *Reader {
	g.t.Helper()
	var consumer natsjs.Consumer
	Await(g.t, "a consumer", func() bool {
		// What a server is asked while it starts it may never answer.
		ctx, cancel := context.WithTimeout(Within(g.t), time.Second)
		defer cancel()
		var err error
		consumer, err = g.JetStream.OrderedConsumer(ctx, "EVENTS", natsjs.OrderedConsumerConfig{FilterSubjects: []string{"events.answers." + id}})
		if err != nil {
			g.t.Logf("trying again: make a consumer: %v", err)
		}
		return err == nil
	})
	events, err := consumer.Messages()
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(events.Stop)
	return &Reader{t: g.t, events: events}
}

// Next returns the next event, and whether it is marked as the last.
func (r *Reader) Next() (e Event, last bool) {
	r.t.Helper()
	m, err := r.events.Next(natsjs.NextContext(Within(r.t)))
	if err != nil {
		r.t.Fatal(err)
	}
	return Event{m.Headers().Get("Ringcast-Event"), string(m.Data())}, m.Headers().Get("Ringcast-End") == "true"
}

// All returns an answer's events, but its claim, once it has ended.
func (g *Gateway) All(id string) (events []Event) {
	g.t.Helper()
	r := g.Read(id)
	defer r.events.Stop()
	for {
		e, last := r.Next()
		if e.Type != "ask" {
			events = append(events, e)
		}
		if last {
			return events
		}
	}
}

// Text is that of all add events.
func Text(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		if e.Type == "add" {
			b.WriteString(e.Data)
		}
	}
	return b.String()
}

// Running is a worker that runs.
type Running struct {
	t    testing.TB
	end  context.CancelFunc
	done chan struct{}
	err  error
}

// Run runs a worker on a connection of its own until the test ends.
func Run(t testing.TB, s *Server, opt worker.Options, handle worker.Handler) *Running {
	t.Helper()
	nc := Connect(t, s.ClientURL())
	return RunOn(t, nc, opt, handle)
}

// RunOn runs one on a connection that is given. Its default subject is chat.
func RunOn(t testing.TB, nc *nats.Conn, opt worker.Options, handle worker.Handler) *Running {
	t.Helper()
	if opt.Subject == "" {
		opt.Subject = "chat"
	}
	ready := make(chan struct{})
	opt.Ready = func() { close(ready) }
	w, err := worker.New(nc, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{t: t, end: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = w.Run(ctx, handle)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	select {
	case <-ready:
	case <-time.After(Patience):
		t.Fatal("the worker is not ready")
	}
	return r
}

// End has the worker end.
func (r *Running) End() { r.end() }

// Stop has the worker end, and returns what Run has.
func (r *Running) Stop() error {
	r.End()
	return r.Wait()
}

// Wait returns what Run has.
func (r *Running) Wait() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(Patience):
		r.t.Fatal("Run does not return")
	}
	return r.err
}

// Await waits until ok, or fails.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: waited for %v", what, Patience)
		}
	}
}

// Log is what a program writes, for a test that reads it meanwhile.
type Log struct {
	mu  sync.Mutex // guards buf; nothing blocks while it is held
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Logger returns a logger that writes to it.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
