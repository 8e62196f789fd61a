package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/transport/gateway"
)

// journal keeps what a gateway logs.
type journal struct {
	mu   sync.Mutex // guards text; nothing blocks while it is held
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// entry is a line of the log.
type entry struct {
	Level, Msg, Request, Method, Path, Remote, Why string
	Status                                         int
	Events, Bytes                                  int
}

// entries returns the lines of which want says so.
func (j *journal) entries(t *testing.T, want func(entry) bool) (found []entry) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(j.String()))
	for {
		var e entry
		if err := dec.Decode(&e); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if want(e) {
			found = append(found, e)
		}
	}
}

// logged has the rig's gateway log to a journal.
func logged(level slog.Level) (*journal, func(*rigOptions)) {
	j := &journal{}
	return j, func(o *rigOptions) {
		o.gateway.Logger = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: level}))
	}
}

// Every answer names its request: as the client did, where that can be repeated.
func TestRequest_ID(t *testing.T) {
	r := newRig(t)
	for name, tc := range map[string]struct {
		given string
		keeps bool
	}{
		"none":          {"", false},
		"a UUID":        {"018f6f4e-8b7a-7cc3-9d2e-1f0a2b3c4d5e", true},
		"visible ASCII": {`Root=1-67;"a"<b>/+%\`, true},
		"the longest":   {strings.Repeat("a", 128), true},
		"longer":        {strings.Repeat("a", 129), false},
		"a space":       {"a b", false},
		"not ASCII":     {"caf\u00e9", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range []struct{ method, path string }{
				{"GET", "/v1/stream?subject=events.x&limit=1"}, {"POST", "/v1/publish/events.x"}, {"GET", "/healthz"},
				{"GET", "/v1/nothing"}, {"POST", "/healthz"}, {"GET", "/v1/stream?subject=other.x"},
			} {
				req := r.request(call.method, call.path, "", "Accept", "application/json")
				if tc.given != "" {
					req.Header["X-Request-Id"] = []string{tc.given}
				}
				res, err := r.http.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				id := res.Header.Get("X-Request-Id")
				if id == "" || (id == tc.given) != tc.keeps {
					t.Errorf("%s %s: the id is %q", call.method, call.path, id)
				}
				if res.StatusCode >= 400 {
					wantInstance(t, body, id)
				}
			}
		})
	}
}

// wantInstance checks that a problem names its request (RFC 9457, section 3.1.5), by
// a URI.
func wantInstance(t *testing.T, body []byte, id string) {
	t.Helper()
	var problem struct{ Instance string }
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	escaped, ok := strings.CutPrefix(problem.Instance, "urn:ringcast:request:")
	got, err := url.PathUnescape(escaped)
	if _, bad := url.Parse(problem.Instance); bad != nil || !ok || err != nil || got != id {
		t.Errorf("instance is %q, the request is %q", problem.Instance, id)
	}
}

// A stream names its request as well, and so does what is refused to a page of another
// origin.
func TestRequest_IDOfStream(t *testing.T) {
	j, log := logged(slog.LevelDebug)
	r := newRig(t, log)
	s := r.subscribe("subject=events.x", "X-Request-Id", "mine")
	if got := s.res.Header.Get("X-Request-Id"); got != "mine" {
		t.Errorf("the id is %q", got)
	}
	res, body := r.do(http.MethodPost, "/v1/publish/events.x", "1", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "X-Request-Id", "theirs")
	if res.StatusCode != http.StatusForbidden || res.Header.Get("X-Request-Id") != "theirs" {
		t.Errorf("%s, id %q", res.Status, res.Header.Get("X-Request-Id"))
	}
	wantInstance(t, []byte(body), "theirs")
	got := j.entries(t, func(e entry) bool { return e.Request == "theirs" })
	want := []entry{{Level: "DEBUG", Msg: "request", Request: "theirs", Method: "POST", Path: "/v1/publish/events.x", Remote: "127.0.0.1", Status: 403, Bytes: len(body)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log differs (-want +got):\n%s", diff)
	}
}

// A page of a configured origin may send an id and a trace, and read the id.
func TestRequest_CORS(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.CORSOrigins = []string{"https://app.example"} })
	res, _ := r.do(http.MethodOptions, "/v1/publish/events.x", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
	if allowed := res.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, "X-Request-Id") || !strings.Contains(allowed, "Traceparent") {
		t.Errorf("allowed headers are %q", allowed)
	}
	res, _ = r.do(http.MethodGet, "/healthz", "", "Origin", "https://app.example")
	if exposed := res.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "X-Request-Id") {
		t.Errorf("exposed headers are %q", exposed)
	}
}

// A request has one line, at debug; one that the gateway fails, at info.
func TestRequest_Log(t *testing.T) {
	j, log := logged(slog.LevelDebug)
	r := newRig(t, log)
	calls := []struct{ id, method, path string }{
		{"published", "POST", "/v1/publish/events.x"},
		{"page", "GET", "/v1/stream?subject=events.x"},
		{"bad", "GET", "/v1/stream?subject=other.x"},
		{"unknown", "GET", "/v1/nothing"},
		{"health", "GET", "/healthz"},
	}
	for _, c := range calls {
		r.do(c.method, c.path, "", "Accept", "application/json", "X-Request-Id", c.id)
	}
	r.nats.Close()
	r.client.Close() // NATS is away
	r.do("POST", "/v1/publish/events.x", "", "X-Request-Id", "failed")
	for id, want := range map[string]entry{
		"published": {Level: "DEBUG", Method: "POST", Path: "/v1/publish/events.x", Status: 200},
		"page":      {Level: "DEBUG", Method: "GET", Path: "/v1/stream", Status: 200},
		"bad":       {Level: "DEBUG", Method: "GET", Path: "/v1/stream", Status: 400},
		"unknown":   {Level: "DEBUG", Method: "GET", Path: "/v1/nothing", Status: 404},
		"health":    {Level: "DEBUG", Method: "GET", Path: "/healthz", Status: 200},
		"failed":    {Level: "INFO", Method: "POST", Path: "/v1/publish/events.x", Status: 503},
	} {
		want.Msg, want.Request, want.Remote = "request", id, "127.0.0.1"
		got := j.entries(t, func(e entry) bool { return e.Request == id })
		if len(got) == 1 {
			want.Bytes = got[0].Bytes
		}
		if diff := cmp.Diff([]entry{want}, got); diff != "" || want.Bytes == 0 {
			t.Errorf("%s: the log differs (-want +got):\n%s", id, diff)
		}
	}
}

// At the level that is the default, clients cannot make a gateway log: neither by
// requests nor by streams.
func TestRequest_LogQuiet(t *testing.T) {
	j, log := logged(slog.LevelInfo)
	r := newRig(t, log)
	s := r.subscribe("subject=events.x")
	r.publish("events.x", "1")
	s.read(1)
	s.close()
	r.do(http.MethodGet, "/v1/stream?subject=other.x", "")
	r.do(http.MethodGet, "/v1/stream?subject=events.x&ticket=x", "")
	r.await("the stream to end", func() bool { return r.streams() == 0 })
	if text := j.String(); text != "" {
		t.Errorf("the log is %s", text)
	}
}

// However many requests a gateway fails, what it logs is bounded.
func TestRequest_LogBounded(t *testing.T) {
	j, log := logged(slog.LevelInfo)
	r := newRig(t, log, func(o *rigOptions) { o.gateway.Limits.Streams = 1 })
	r.subscribe("subject=events.x").primed()
	const requests = 400
	began := time.Now()
	for range requests {
		if res, _ := r.do(http.MethodGet, "/v1/stream?subject=events.x", ""); res.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(res.Status)
		}
	}
	most := 100 + int(10*time.Since(began).Seconds()) + 1
	if n := len(j.entries(t, func(entry) bool { return true })); n == 0 || n > most {
		t.Errorf("%d lines for %d requests, want %d at most", n, requests, most)
	}
}

// A stream has a line when it opens and one when it has ended, which says why, and
// none for each event.
func TestRequest_StreamLog(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		change    func(*gateway.Options)
		end       func(*rig, *subscriber)
	}{
		{"left", "the client left", nil, func(_ *rig, s *subscriber) { s.close() }},
		{"finished", "its subjects have ended", nil, func(r *rig, _ *subscriber) { r.publish("events.x", "", "Ringcast-End", "true") }},
		{"drain", "the gateway shuts down", nil, func(r *rig, _ *subscriber) { r.stop() }},
		{"lifetime", "it has lasted for the stream lifetime", func(o *gateway.Options) { o.StreamLifetime = 3 * time.Second }, func(*rig, *subscriber) {}},
		{"unread", "the client has not read for the write time-out", func(o *gateway.Options) { o.WriteTimeout = 500 * time.Millisecond }, func(r *rig, _ *subscriber) {
			big := strings.Repeat(".", 1<<20)
			for range 12 { // more than the socket's buffers
				r.publish("events.x", big)
			}
		}},
	} {
		if tc.name == "unread" && carrierOf(t).compression {
			continue // what is sent would be too little
		}
		t.Run(tc.name, func(t *testing.T) {
			j, log := logged(slog.LevelDebug)
			r := newRig(t, log, func(o *rigOptions) {
				if tc.change != nil {
					tc.change(&o.gateway)
				}
			})
			of := func(e entry) bool { return e.Request == "mine" }
			s := r.subscribe("subject=events.x", "X-Request-Id", "mine")
			r.publishMany("events.x", 50)
			s.read(50)
			r.publish("events.x", "one more")
			s.read(1) // so what came before is counted
			opened := entry{Level: "DEBUG", Msg: "stream opened", Request: "mine", Method: "GET", Path: "/v1/stream", Remote: "127.0.0.1"}
			if diff := cmp.Diff([]entry{opened}, j.entries(t, of)); diff != "" {
				t.Errorf("while it is open the log differs (-want +got):\n%s", diff)
			}
			tc.end(r, s)
			r.await("the stream to end", func() bool { return len(j.entries(t, of)) > 1 })
			got := j.entries(t, of)[1:]
			ended := opened
			ended.Msg, ended.Why, ended.Events, ended.Bytes = "stream ended", tc.why, max(50, got[0].Events), got[0].Bytes
			if diff := cmp.Diff([]entry{ended}, got); diff != "" || ended.Bytes < 50 || tc.name != "unread" && ended.Events > 52 {
				t.Errorf("the end of the log differs (-want +got):\n%s", diff)
			}
		})
	}
}

// That its token has ended, or the token's key is gone, is told from the rest.
func TestRequest_StreamLogAccess(t *testing.T) {
	for _, tc := range []struct {
		why     string
		expires time.Duration
		end     func(secretFile string)
	}{
		{"its token has expired", 2 * time.Second, func(string) {}},
		{"its token's key was revoked", time.Minute, func(secretFile string) { writeFile(t, secretFile, newSecret) }},
	} {
		j, log := logged(slog.LevelDebug)
		r, secretFile := accessRig(t, "", log)
		name, value := subscribing(t, time.Now().Add(tc.expires), ">")
		s := r.subscribe("subject=events.a", name, value, "X-Request-Id", "mine")
		s.primed()
		tc.end(secretFile)
		cutOff(t, s)
		ended := func() []entry {
			return j.entries(t, func(e entry) bool { return e.Request == "mine" && e.Msg == "stream ended" })
		}
		r.await("the stream to end", func() bool { return len(ended()) == 1 })
		if got := ended()[0].Why; got != tc.why {
			t.Errorf("it ended since %q, want %q", got, tc.why)
		}
	}
}

// What gives access is not in the log, whatever its level and whatever becomes of the
// request.
func TestRequest_LogSecrets(t *testing.T) {
	j, log := logged(slog.LevelDebug)
	r, secretFile := accessRig(t, "", log)
	name, bearer := subscribing(t, inAMinute(), "events.>")
	token := strings.TrimPrefix(bearer, "Bearer ")
	forged := token[:len(token)-4] + "aaaa"
	res, body := r.do(http.MethodPost, "/v1/tickets", `{"subject":"events.a"}`, name, bearer, "Content-Type", "application/json")
	var answer struct{ URL string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, body)
	}
	_, ticket, _ := strings.Cut(answer.URL, "ticket=")
	streams := []*subscriber{
		r.subscribe("subject=events.a", name, bearer),
		r.subscribe("ticket=" + ticket),
	}
	for _, s := range streams {
		s.primed()
	}
	for _, call := range [][]string{ // of what is refused, and of what is not understood
		{"GET", "/v1/stream?subject=events.a", name, "Bearer " + forged},
		{"GET", "/v1/stream?subject=other.a", name, bearer},
		{"GET", "/v1/stream?subject=events.a&access_token=" + token},
		{"GET", "/v1/stream?ticket=" + ticket + "&subject=events.a"},
		{"GET", "/v1/stream?ticket=" + ticket[:len(ticket)-4] + "aaaa"},
		{"GET", "/v1/nothing?ticket=" + ticket, name, bearer},
		{"GET", "/v1/status", name, bearer},
		{"POST", "/v1/publish/events.a", name, bearer},
		{"POST", "/v1/publish/events.a", "Cookie", "session=" + token},
		{"GET", "/v1/stream?limit=" + token, name, bearer},
	} {
		r.do(call[0], call[1], "", append([]string{"Accept", "application/json"}, call[2:]...)...)
	}
	writeFile(t, secretFile, newSecret)
	cutOff(t, streams[0])
	r.stop()
	text := j.String()
	if n := strings.Count(text, `"msg":"stream ended"`); n != len(streams) {
		t.Errorf("%d streams ended in the log", n)
	}
	for what, secret := range map[string]string{
		"token": token[:40], "token's signature": token[len(token)-20 : len(token)-4], "ticket": ticket[len(ticket)-20 : len(ticket)-4],
		"secret": tokenSecret, "new secret": newSecret,
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s is in the log:\n%s", what, text)
		}
	}
}
