package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/transport/sse"
)

// peer is a server on a real socket that answers each request in turn by the next
// of its answers, and 204 once there is none.
type peer struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows; nothing is awaited under it
	answers  []http.HandlerFunc
	requests []request
}

// request is what the peer saw.
type request struct {
	Method, Path, Body string
	LastEventID        []string
}

func newPeer(t *testing.T, answers ...http.HandlerFunc) *peer {
	p := &peer{answers: answers}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.requests = append(p.requests, request{r.Method, r.URL.Path, string(body), r.Header.Values("Last-Event-ID")})
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	if len(p.answers) > 0 {
		answer, p.answers = p.answers[0], p.answers[1:]
	}
	p.mu.Unlock()
	answer(w, r)
}

// seen returns the requests so far.
func (p *peer) seen() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request(nil), p.requests...)
}

// client returns one that reconnects at once.
func (p *peer) client() *sse.Client {
	return &sse.Client{URL: p.URL, HTTP: p.Client(), Retry: -1, Backoff: -1}
}

// stream answers with an event stream that ends cleanly.
func stream(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, text)
	}
}

// cut answers with an event stream whose connection is then dropped without the
// end of the body.
func cut(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(text)(w, r)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// open answers with an event stream that stays open and silent after text.
func open(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(text)(w, r)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// refuse answers with a status and headers, given as name, value, …, and a body.
func refuse(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// collect runs the client to its end and returns the data it was handed, in order.
func collect(t *testing.T, c *sse.Client) ([]string, error) {
	t.Helper()
	var got []string
	err := c.Run(t.Context(), func(m sse.Message) error {
		got = append(got, string(m.Data))
		return nil
	})
	return got, err
}

func TestClient_Run(t *testing.T) {
	t.Run("resumes after the last complete block until the stream is finished", func(t *testing.T) {
		p := newPeer(t,
			stream("id: 1\n\n"),                         // a bookmark, and a clean end
			cut("data: a\nid: 2\n\ndata: cut\nid: 3\n"), // cut inside a block
			cut(""), // nothing at all
			stream("data: b\nid: 3\n\n:\ndata: c\nid: 4\n\n:"), // and what was cut, in full
			stream("id\n\n"), // an id taken back
		)
		c := p.client()
		c.Header = http.Header{"Last-Event-Id": {"forged"}} // the client's own to send, or not
		got, err := collect(t, c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
		want := []request{
			{"GET", "/", "", nil},
			{"GET", "/", "", []string{"1"}},
			{"GET", "/", "", []string{"2"}},
			{"GET", "/", "", []string{"2"}},
			{"GET", "/", "", []string{"4"}},
			{"GET", "/", "", nil},
		}
		if diff := cmp.Diff(want, p.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
	t.Run("sends method, body, header and first id each time", func(t *testing.T) {
		headers := make(chan http.Header, 2)
		tell := func(next http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { headers <- r.Header.Clone(); next(w, r) }
		}
		p := newPeer(t, tell(stream("data: a\n\n")), tell(cut("")))
		c := p.client()
		c.Method, c.Body, c.LastEventID = "POST", []byte(`{"subject":["a"]}`), "7-x"
		c.Header = http.Header{"authorization": {"Bearer t"}, "Accept": {"*/*"}, "Last-Event-Id": {"forged"}}
		if _, err := collect(t, c); err != nil {
			t.Fatal(err)
		}
		for _, r := range p.seen() {
			if diff := cmp.Diff(request{"POST", "/", `{"subject":["a"]}`, []string{"7-x"}}, r); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		}
		for range 2 {
			h := <-headers
			for name, want := range map[string]string{"Authorization": "Bearer t", "Accept": "text/event-stream", "Cache-Control": "no-cache"} {
				if got := h.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("header %s: %q, want %q", name, got, want)
				}
			}
		}
		if got := c.Header.Get("Accept"); got != "*/*" {
			t.Errorf("the caller's header was changed to %q", got)
		}
	})
	t.Run("follows redirects", func(t *testing.T) {
		p := newPeer(t, refuse(307, "", "Location", "/there"), stream("data: a\nid: 1\n\n"))
		if got, err := collect(t, p.client()); err != nil || len(got) != 1 {
			t.Fatalf("%q, %v", got, err)
		}
		if seen := p.seen(); seen[1].Path != "/there" || seen[2].Path != "/" {
			t.Errorf("requests %+v: want the second at /there, the third anew at /", seen)
		}
	})
	t.Run("tries 408, 429 and 5xx again", func(t *testing.T) {
		statuses := []int{408, 429, 500, 502, 503, 504, 599}
		var answers []http.HandlerFunc
		for _, status := range statuses {
			answers = append(answers, refuse(status, "busy"))
		}
		p := newPeer(t, append(answers, stream("data: a\n\n"))...)
		c := p.client()
		var causes []int
		c.OnRetry = func(cause error, _ time.Duration) {
			if refused := new(sse.StatusError); errors.As(cause, &refused) {
				causes = append(causes, refused.StatusCode)
			}
		}
		if got, err := collect(t, c); err != nil || len(got) != 1 {
			t.Fatalf("%q, %v", got, err)
		}
		if diff := cmp.Diff(statuses, causes); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
	t.Run("takes a silent connection for dead", func(t *testing.T) {
		p := newPeer(t, open("data: a\nid: 1\n\n:\n"), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := p.client()
		c.IdleTimeout = 50 * time.Millisecond
		var causes []error
		c.OnRetry = func(cause error, _ time.Duration) { causes = append(causes, cause) }
		if got, err := collect(t, c); err != nil || len(got) != 1 {
			t.Fatalf("%q, %v", got, err)
		}
		if diff := cmp.Diff([]error{sse.ErrIdle, sse.ErrIdle}, causes, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("causes (-want +got):\n%s", diff)
		}
	})
	t.Run("hands over comments in their place", func(t *testing.T) {
		p := newPeer(t, stream(":\ndata: a\n: b\n\n:\xe2\x82c\n"), cut(":d\n"))
		c := p.client()
		var got []string
		c.OnComment = func(text []byte) { got = append(got, ":"+string(text)) }
		if err := c.Run(t.Context(), func(m sse.Message) error { got = append(got, string(m.Data)); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{":", ": b", "a", ":\uFFFDc", ":d"}, got); diff != "" {
			t.Errorf("comments and messages (-want +got):\n%s", diff)
		}
	})
	t.Run("tries again when nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		attempts := 0
		c := &sse.Client{URL: "http://" + l.Addr().String(), Retry: -1, Backoff: -1, OnRetry: func(error, time.Duration) {
			if attempts++; attempts == 3 {
				cancel()
			}
		}}
		if err := c.Run(ctx, nil); err != context.Canceled || attempts != 3 {
			t.Errorf("error %v after %d attempts", err, attempts)
		}
	})
}

func TestClient_Run_ends(t *testing.T) {
	t.Run("with the listener's error, at once", func(t *testing.T) {
		p := newPeer(t, open("data: a\nid: 1\n\ndata: b\nid: 2\n\n"))
		enough := errors.New("enough")
		calls := 0
		err := p.client().Run(t.Context(), func(sse.Message) error { calls++; return enough })
		if err != enough || calls != 1 || len(p.seen()) != 1 {
			t.Errorf("error %v after %d calls and %d requests", err, calls, len(p.seen()))
		}
	})
	t.Run("with the context's, while reading", func(t *testing.T) {
		p := newPeer(t, open("data: a\n\n"))
		ctx, cancel := context.WithCancel(t.Context())
		err := p.client().Run(ctx, func(sse.Message) error { cancel(); return nil })
		if err != context.Canceled {
			t.Errorf("error %v", err)
		}
	})
	t.Run("with the problem that a refusal tells", func(t *testing.T) {
		for _, c := range []struct {
			status                  int
			contentType, body, want string
		}{
			{403, "application/problem+json", `{"title":"Not yours","detail":"subject \"a\""}`, `server answered 403 Forbidden: Not yours: subject "a"`},
			{400, "application/problem+json; charset=utf-8", `{"title":"Bad Request","detail":"no subject"}`, "server answered 400 Bad Request: no subject"},
			{404, "text/html", "<h1>", "server answered 404 Not Found"},
			{401, "application/problem+json", `{`, "server answered 401 Unauthorized"},
			{410, "", "", "server answered 410 Gone"},
			{201, "text/event-stream", "data: a\n\n", "server answered 201 Created"},
			{304, "", "", "server answered 304 Not Modified"},
		} {
			p := newPeer(t, refuse(c.status, c.body, "Content-Type", c.contentType))
			got, err := collect(t, p.client())
			var refused *sse.StatusError
			if !errors.As(err, &refused) || refused.StatusCode != c.status || err.Error() != c.want || got != nil {
				t.Errorf("%d: %q, error %v, want %s", c.status, got, err, c.want)
			}
		}
	})
	t.Run("when an event is too large", func(t *testing.T) {
		p := newPeer(t, open("data: "+strings.Repeat("x", 2000)+"\n\n"))
		c := p.client()
		c.MaxEventSize = 1000
		if _, err := collect(t, c); !errors.Is(err, sse.ErrEventTooLarge) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("when it cannot make a request", func(t *testing.T) {
		for _, c := range []sse.Client{
			{URL: ""}, {URL: "://"}, {URL: "ftp://a/"}, {URL: "http:///v1/stream"}, {URL: "127.0.0.1:80"},
			{URL: "http://127.0.0.1/", Method: "G ET"},
			{URL: "http://127.0.0.1/", LastEventID: "a\x01"},
		} {
			if err := c.Run(t.Context(), nil); !errors.Is(err, sse.ErrBadRequest) {
				t.Errorf("%q %q: error %v", c.Method, c.URL, err)
			}
		}
	})
}

// What is an event stream and what is not, after web-platform-tests' format-mime-*.
func TestClient_Run_ContentType(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"text/event-stream":                      true,
		"text/event-stream;":                     true,
		"Text/Event-Stream ; charset=UTF-8":      true,
		"text/event-stream;charset=windows-1251": true,
		"text/event-stream; charset":             true,
		"text/event-stream-bogus":                false,
		"application/x-dom-event-stream":         false,
		"application/json":                       false,
		"text/html":                              false,
		"x bogus":                                false,
		"":                                       false,
	} {
		p := newPeer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			fmt.Fprint(w, "data: ok…\n\n")
		})
		got, err := collect(t, p.client())
		if ok && (err != nil || len(got) != 1 || got[0] != "ok…") || !ok && (!errors.Is(err, sse.ErrNotEventStream) || got != nil) {
			t.Errorf("%q: %q, error %v", contentType, got, err)
		}
	}
}

// One Client may run several times at once and keeps nothing between runs.
func TestClient_Run_concurrently(t *testing.T) {
	p := newPeer(t)
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		stream("data: a\nid: 1\n\n")(w, r)
	})
	c := p.client()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2 {
				if got, err := collect(t, c); err != nil || len(got) != 1 {
					t.Errorf("%q, error %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}
