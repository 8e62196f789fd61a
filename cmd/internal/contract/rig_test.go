package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ringcast/cmd/internal/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come: long enough for a busy
// machine, and shorter than the test binary's own.
const patience = 30 * time.Second

// params are the body of POST /.
type params map[string]any

// service is a service under test, on a real socket.
type service struct {
	t    *testing.T
	url  string
	http *http.Client
}

// start starts a service that logs to log. When the test is over it asks for the
// end, and checks that it comes.
func start(t *testing.T, log io.Writer) *service {
	t.Helper()
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- contract.Serve(context.Background(), l, slog.New(slog.NewTextHandler(log, nil))) }()
	transport := &http.Transport{}
	s := &service{t: t, url: "http://" + l.Addr().String(), http: &http.Client{Transport: transport}}
	t.Cleanup(func() {
		s.expect(http.MethodDelete, s.url+"/", nil, http.StatusNoContent)
		transport.CloseIdleConnections()
		if err := await(t, ended); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// await returns the next value of c.
func await[T any](t *testing.T, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatalf("no %T within %v", value, patience)
	}
	return value
}

// expect makes a request and returns the answer's header and body.
func (s *service) expect(method, url string, body any, status int) (http.Header, string) {
	s.t.Helper()
	text, raw := body.(string)
	if !raw && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(encoded)
	}
	req, err := http.NewRequest(method, url, strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != status {
		s.t.Errorf("%s %s %s: answered %s %s, want %d", method, url, text, resp.Status, answer, status)
	}
	return resp.Header, string(answer)
}

// report is the body of a callback.
type report struct {
	Kind    string  `json:"kind"`
	Event   *event  `json:"event"`
	Comment *string `json:"comment"`
	Error   string  `json:"error"`
}

type event struct{ Type, Data, ID string }

// message is the report of an event of the default type.
func message(data string) report { return typed("message", data, "") }

func typed(typ, data, id string) report {
	return report{Kind: "event", Event: &event{typ, data, id}}
}

func comment(text string) report { return report{Kind: "comment", Comment: &text} }

// follower is a client that the service has made, with its two ends at the
// harness's side.
type follower struct {
	*service
	t           *testing.T
	location    string
	connections chan *connection
	reports     chan report
}

// follow has the service make a client for a stream of this test, which is deleted
// when the test is over. p may name another streamUrl.
func (s *service) follow(t *testing.T, p params) *follower {
	t.Helper()
	f := &follower{
		service:     &service{t: t, url: s.url, http: s.http},
		t:           t,
		connections: make(chan *connection, 100),
		reports:     make(chan report, 1000),
	}
	all := params{"streamUrl": f.serve(f.stream), "callbackUrl": f.serve(f.receive()), "tag": t.Name()}
	for name, value := range p {
		all[name] = value
	}
	header, _ := f.expect(http.MethodPost, s.url+"/", all, http.StatusCreated)
	f.location = header.Get("Location")
	t.Cleanup(func() { f.expect(http.MethodDelete, f.location, nil, http.StatusNoContent) })
	return f
}

// serve returns the URL of h, on a server that lives as long as the test, and no
// longer where a client is still connected because the test has failed.
func (f *follower) serve(h http.HandlerFunc) string {
	server := httptest.NewServer(h)
	f.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// connection is one request for the stream.
type connection struct {
	Method string
	Header http.Header
	Body   string
	chunks chan string // closed to cut the connection
}

// stream answers with an event stream of what the connection is told to send.
func (f *follower) stream(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c := &connection{r.Method, r.Header, string(body), make(chan string, 1000)}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w).Flush
	flush()
	f.connections <- c
	for {
		select {
		case chunk, ok := <-c.chunks:
			if !ok {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, chunk)
			flush()
		case <-r.Context().Done():
			return
		}
	}
}

// send sends each of the chunks by itself.
func (c *connection) send(chunks ...string) {
	for _, chunk := range chunks {
		c.chunks <- chunk
	}
}

// cut ends the connection in the middle of its body, after what was sent.
func (c *connection) cut() { close(c.chunks) }

// receive returns the callbacks' handler. The service sends one at a time.
func (f *follower) receive() http.HandlerFunc {
	var received atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		number := received.Add(1)
		if want := fmt.Sprint("/", number); r.Method != http.MethodPost || r.URL.Path != want {
			f.t.Errorf("callback by %s to %s, want POST to %s", r.Method, r.URL.Path, want)
		}
		var what report
		if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
			f.t.Errorf("callback %d: %v", number, err)
		}
		f.reports <- what
		w.WriteHeader(http.StatusAccepted)
	}
}

// command sends one that must be obeyed.
func (f *follower) command(body params) {
	f.t.Helper()
	f.expect(http.MethodPost, f.location, body, http.StatusNoContent)
}

func (f *follower) listenFor(typ string) {
	f.t.Helper()
	f.command(params{"command": "listen", "listen": params{"type": typ}})
}

// connected returns the next connection.
func (f *follower) connected() *connection {
	f.t.Helper()
	return await(f.t, f.connections)
}

// reported checks that these are the next reports.
func (f *follower) reported(want ...report) {
	f.t.Helper()
	for i, w := range want {
		if diff := cmp.Diff(w, await(f.t, f.reports)); diff != "" {
			f.t.Fatalf("report %d of %d (-want +got):\n%s", i+1, len(want), diff)
		}
	}
}

// failed returns the text of the next report, which must be an error's.
func (f *follower) failed() string {
	f.t.Helper()
	what := await(f.t, f.reports)
	if what.Kind != "error" || what.Error == "" {
		f.t.Fatalf("report %+v, want an error", what)
	}
	return what.Error
}

// pieces cuts text into pieces of n bytes.
func pieces(text string, n int) (all []string) {
	for len(text) > n {
		all, text = append(all, text[:n]), text[n:]
	}
	return append(all, text)
}

// until is a log that is read until a line with text in it has come.
type until struct {
	text string
	seen chan string
}

func newUntil(text string) *until { return &until{text, make(chan string, 1)} }

func (u *until) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(u.text)) {
		select {
		case u.seen <- string(line):
		default:
		}
	}
	return len(line), nil
}
