package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/replay"
	"ringcast/transport/ask"
	"ringcast/transport/gateway"
	"ringcast/transport/jetstream"
	"ringcast/transport/peers"
	"ringcast/transport/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	stream = "EVENTS"
	// patience bounds every wait: what takes longer has failed.
	patience = 20 * time.Second
)

// rig is a whole gateway on a real NATS server, a real ring and a real socket.
type rig struct {
	t        testing.TB
	over     carrier
	opts     rigOptions
	dir      string
	embedded *jetstream.Embedded
	client   *jetstream.Client
	ring     *replay.Ring
	history  *jetstream.History
	hub      *broker.Hub
	peers    *peers.Network
	reader   *jetstream.Reader
	server   *gateway.Server
	desk     *ask.Desk // nil unless it takes questions
	addr     string    // stays over a restart
	url      string
	http     *http.Client
	nats     *nats.Conn
	stops    []func()
}

type rigOptions struct {
	ring    replay.Options
	stream  jetstream.StreamConfig
	gateway gateway.Options
	// nats is a server to use instead of one of the rig's own, and name what others on it
	// know this gateway by, which tells presence; empty for a gateway of its own.
	nats     *jetstream.Embedded
	name     string
	presence []string
	// ask, unless nil, has the gateway take questions, with these options.
	ask func(*ask.Options)
}

func newRig(t testing.TB, change ...func(*rigOptions)) *rig {
	t.Helper()
	r := &rig{t: t, over: carrierOf(t), dir: t.TempDir(), addr: "127.0.0.1:0"}
	r.opts.stream = jetstream.StreamConfig{Name: stream, Subjects: []string{"events.>"}, Manage: true}
	r.opts.gateway = gateway.Options{
		Subjects: r.opts.stream.Subjects, Stream: stream, Heartbeat: 100 * time.Millisecond,
		Retry: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Compression: r.over.compression,
	}
	for _, c := range change {
		c(&r.opts)
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) start() {
	r.t.Helper()
	ctx := context.Background()
	var err error
	if r.embedded = r.opts.nats; r.embedded == nil {
		r.startNATS()
	}
	if r.client, err = jetstream.Connect(ctx, jetstream.Options{URL: r.embedded.ClientURL()}); err != nil {
		r.t.Fatal(err)
	}
	r.onStop(r.client.Close)
	if err := r.client.EnsureStream(ctx, r.opts.stream); err != nil {
		r.t.Fatal(err)
	}
	if r.ring, err = replay.Open(r.ringPath(), r.opts.ring); err != nil {
		r.t.Fatal(err)
	}
	r.onStop(func() { _ = r.ring.Close() })
	r.history = jetstream.NewHistory(r.client, jetstream.HistoryOptions{Stream: stream})
	r.hub = broker.NewHub(r.ring, r.history, broker.HubOptions{})
	r.startReader()
	r.startGateway()
	if r.nats, err = nats.Connect(r.embedded.ClientURL()); err != nil {
		r.t.Fatal(err)
	}
	r.onStop(r.nats.Close)
}

func (r *rig) startNATS() {
	r.t.Helper()
	var err error
	if r.embedded, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: filepath.Join(r.dir, "nats"), Port: -1}); err != nil {
		r.t.Fatal(err)
	}
	r.onStop(r.embedded.Shutdown)
}

func (r *rig) startReader() {
	ring := r.ring.Stats()
	r.reader = jetstream.NewReader(r.client, jetstream.ReaderOptions{
		Stream: stream, RingEvents: uint64(ring.MaxEvents), AuditInterval: 50 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.reader.Run(ctx, r.hub) }()
	r.onStop(func() { cancel(); <-done })
	r.await("the reader to catch up", func() bool { return r.reader.Status().CaughtUp })
}

func (r *rig) startGateway() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	l, r.url, r.http = r.over.carry(l)
	opts := r.opts.gateway
	opts.Hub, opts.Publisher, opts.Status = r.hub, r.client, r.status
	r.meet(&opts)
	r.takeQuestions(&opts)
	r.server = gateway.New(opts)
	r.mingle(opts)
	done := make(chan struct{})
	go func() { defer close(done); _ = r.server.Serve(l) }()
	r.onStop(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
		<-done
	})
}

func (r *rig) status() gateway.Status {
	client, reader := r.client.Status(), r.reader.Status()
	return gateway.Status{NATS: gateway.NATSStatus{
		Connected: client.Connected, CaughtUp: reader.CaughtUp, Lag: reader.Lag, Error: client.LastError,
	}}
}

func (r *rig) ringPath() string { return filepath.Join(r.dir, "ring.db") }

func (r *rig) onStop(f func()) { r.stops = append(r.stops, f) }

// stop stops everything in reverse. It may be called more than once.
func (r *rig) stop() {
	r.hangUp() // over HTTP/2 a server that shuts down gives idle connections a second
	for len(r.stops) > 0 {
		last := len(r.stops) - 1
		f := r.stops[last]
		r.stops = r.stops[:last]
		f()
	}
	r.hangUp()
}

// hangUp closes the connections that no stream needs.
func (r *rig) hangUp() {
	if r.http != nil {
		r.http.CloseIdleConnections()
	}
}

// restart stops everything, lets change work on the files, and starts again on
// the same address.
func (r *rig) restart(change func()) {
	r.stop()
	if change != nil {
		change()
	}
	r.start()
}

func (r *rig) deleteRing() {
	if err := os.Remove(r.ringPath()); err != nil {
		r.t.Fatal(err)
	}
}

// await polls for a condition that nothing signals.
func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// publish stores one event over NATS and returns its id once the hub has it.
func (r *rig) publish(subject, data string, header ...string) broker.ID {
	r.t.Helper()
	msg := &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
	for i := 0; i < len(header); i += 2 {
		msg.Header[header[i]] = []string{header[i+1]}
	}
	reply, err := r.nats.RequestMsg(msg, patience)
	if err != nil {
		r.t.Fatalf("publish to %s: %v", subject, err)
	}
	var ack struct{ Seq uint64 }
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Seq == 0 {
		r.t.Fatalf("publish to %s: %s, %v", subject, reply.Data, err)
	}
	r.reach(ack.Seq)
	return r.hub.Lookup(context.Background(), ack.Seq)
}

// reach waits until the hub holds sequence seq.
func (r *rig) reach(seq uint64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.hub.Await(ctx, seq); err != nil {
		r.t.Fatalf("the ring did not reach %d: %v", seq, err)
	}
}

// publishMany stores n events "0", "1", … without waiting for each.
func (r *rig) publishMany(subject string, n int) {
	r.t.Helper()
	first := r.hub.Head().Seq
	for i := range n {
		if err := r.nats.Publish(subject, fmt.Append(nil, i)); err != nil {
			r.t.Fatal(err)
		}
		if i%1000 == 999 { // core NATS would drop what JetStream cannot take in time
			r.reach(first + uint64(i) + 1)
		}
	}
	r.reach(first + uint64(n))
	r.await("the ring to evict", func() bool { // which it does when it writes
		b := r.ring.Bounds()
		return b.Head.Seq-b.Floor.Seq <= uint64(r.ring.Stats().MaxEvents)
	})
}

// request makes a request; header are pairs.
func (r *rig) request(method, path string, body string, header ...string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// do makes a request and reads the whole answer.
func (r *rig) do(method, path string, body string, header ...string) (*http.Response, string) {
	r.t.Helper()
	res, err := r.http.Do(r.request(method, path, body, header...))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(text)
}

// subscriber is an open stream.
type subscriber struct {
	t      testing.TB
	res    *http.Response
	cancel context.CancelFunc
	raw    *tee
	dec    *sse.Decoder
}

// tee keeps what was read, for tests of the bytes.
type tee struct {
	io.Reader
	buf bytes.Buffer
}

func (w *tee) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.buf.Write(p[:n])
	return n, err
}

// browser is what an EventSource sends.
var browser = []string{"Accept", "text/event-stream", "Cache-Control", "no-cache"}

// subscribe opens a stream with the given query and headers.
func (r *rig) subscribe(query string, header ...string) *subscriber {
	r.t.Helper()
	return r.open(r.request(http.MethodGet, "/v1/stream?"+query, "", header...))
}

func (r *rig) open(req *http.Request) *subscriber {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	res, err := r.http.Do(req.WithContext(ctx))
	if err != nil {
		cancel()
		r.t.Fatal(err)
	}
	s := &subscriber{t: r.t, res: res, cancel: cancel, raw: &tee{Reader: res.Body}}
	s.dec = sse.NewDecoder(s.raw)
	r.t.Cleanup(s.close)
	return s
}

// close leaves the stream; its connection, over HTTP/2, is idle then.
func (s *subscriber) close() {
	_ = s.res.Body.Close()
	s.cancel()
}

func (s *subscriber) next() sse.Message {
	s.t.Helper()
	m, err := s.dec.Next()
	if err != nil {
		s.t.Fatalf("read stream: %v; so far: %q", err, tail(s.raw.buf.Bytes()))
	}
	return m
}

func tail(b []byte) []byte { return b[max(0, len(b)-500):] }

// read returns the next n messages' data.
func (s *subscriber) read(n int) []string {
	s.t.Helper()
	var data []string
	for range n {
		data = append(data, string(s.next().Data))
	}
	return data
}

// primed reads until the client knows an id without having had an event.
func (s *subscriber) primed() string {
	s.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(s.raw.buf.String(), "id: ") {
		if _, err := s.raw.Read(buf); err != nil {
			s.t.Fatalf("read stream: %v", err)
		}
	}
	_, id, _ := strings.Cut(s.raw.buf.String(), "id: ")
	id, _, _ = strings.Cut(id, "\n")
	return id
}

// numbers are "from", …, "to-1".
func numbers(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// pageAnswer is a JSON page.
type pageAnswer struct {
	Events []struct {
		ID, Subject, Type, Time string
		Data                    *string
		DataBase64              *string `json:"data_base64"`
	}
	LastEventID string `json:"last_event_id"`
	Gap         *struct{ Reason, Requested, Oldest string }
	Finished    bool
}

func (r *rig) page(query string, header ...string) pageAnswer {
	r.t.Helper()
	res, text := r.do(http.MethodGet, "/v1/stream?"+query, "", append([]string{"Accept", "application/json"}, header...)...)
	var p pageAnswer
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("page %s: %s: %s: %v", query, res.Status, text, err)
	}
	return p
}

func (p pageAnswer) data() []string {
	out := []string{}
	for _, e := range p.Events {
		out = append(out, *e.Data)
	}
	return out
}

func esc(s string) string { return url.QueryEscape(s) }
