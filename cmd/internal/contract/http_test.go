package contract_test

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The harness's "HTTP behavior".
func TestContract_HTTP(t *testing.T) {
	s := start(t, io.Discard)
	t.Run("method and headers by default", func(t *testing.T) {
		c := s.follow(t, nil).connected()
		if c.Method != "GET" || c.Body != "" {
			t.Errorf("%s with body %q", c.Method, c.Body)
		}
		checkHeader(t, c, "Accept", "text/event-stream")
		checkHeader(t, c, "Cache-Control", "no-cache")
		checkHeader(t, c, "Last-Event-Id")
	})
	t.Run("headers", func(t *testing.T) {
		c := s.follow(t, params{"headers": params{"header-name-1": "value-1", "header-name-2": "value-2"}}).connected()
		checkHeader(t, c, "Header-Name-1", "value-1")
		checkHeader(t, c, "Header-Name-2", "value-2")
	})
	for _, method := range []string{"POST", "REPORT"} {
		t.Run(method, func(t *testing.T) {
			const body, contentType = `{"hello": "world"}`, "application/json; charset=utf-8"
			c := s.follow(t, params{"method": method, "body": body, "headers": params{"content-type": contentType}}).connected()
			if c.Method != method || c.Body != body {
				t.Errorf("%s with body %q", c.Method, c.Body)
			}
			checkHeader(t, c, "Content-Type", contentType)
		})
	}
	t.Run("the first id", func(t *testing.T) {
		f := s.follow(t, params{"lastEventId": "abc"})
		c := f.connected()
		checkHeader(t, c, "Last-Event-Id", "abc")
		c.send("data: a\n\n") // as if it had been received
		f.reported(typed("message", "a", "abc"))
	})
}

func checkHeader(t *testing.T, c *connection, name string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.Header[name]); diff != "" {
		t.Errorf("header %s (-want +got):\n%s", name, diff)
	}
}

func TestContract_Redirect(t *testing.T) {
	s := start(t, io.Discard)
	for _, status := range []int{301, 307} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			there := &follower{t: t, connections: make(chan *connection, 1)}
			target := there.serve(there.stream)
			redirect := there.serve(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", target)
				w.WriteHeader(status)
			})
			client := s.follow(t, params{"streamUrl": redirect})
			there.connected().send("data: hello\n\n")
			client.reported(message("hello"))
		})
		// Neither a loop nor silence.
		for name, location := range map[string][]string{"empty": {""}, "missing": nil} {
			t.Run(strconv.Itoa(status)+" with "+name+" location", func(t *testing.T) {
				f := &follower{t: t}
				redirect := f.serve(func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Location"] = location
					w.WriteHeader(status)
				})
				s.follow(t, params{"streamUrl": redirect}).failed()
			})
		}
	}
}

// "204 halts re-connection attempts": the client has ended, and asked once.
func TestContract_NoContent(t *testing.T) {
	ended := newUntil("stream ended")
	s := start(t, ended)
	var requests atomic.Int32
	f := &follower{t: t}
	finished := f.serve(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	client := s.follow(t, params{"streamUrl": finished, "initialDelayMs": 0})
	await(t, ended.seen)
	if n := requests.Load(); n != 1 || len(client.reports) > 0 {
		t.Errorf("%d requests and %d reports, want one and none", n, len(client.reports))
	}
}
