package proxies_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// route is a way to a gateway through a proxy that runs, over one protocol.
type route struct {
	way
	running  *process
	address  string // the proxy's
	protocol string
	number   int
}

func (r route) String() string { return fmt.Sprintf("%s/%s", r.way, r.protocol) }

// subject is the route's own.
func (r route) subject() string { return fmt.Sprintf("events.r%d", r.number) }

// client returns a client at the far end, with an address of 127.0.0.0/8.
func (r route) client(t *testing.T, from string) *client {
	t.Helper()
	return newClient(t, r.address, r.protocol, from)
}

// routes starts all proxies in front of the gateways at these addresses.
func routes(t *testing.T, gateways []string, edits func(proxy) []edit) []route {
	t.Helper()
	var all []route
	for _, w := range ways() {
		running, address := w.start(t, gateways, edits(w.proxy)...)
		for _, protocol := range protocols {
			all = append(all, route{way: w, running: running, address: address, protocol: protocol, number: len(all)})
		}
	}
	return all
}

// each runs a test for each route.
func each(t *testing.T, gateway string, edits func(proxy) []edit, test func(t *testing.T, r route)) {
	t.Helper()
	for _, r := range routes(t, []string{gateway}, edits) {
		t.Run(r.String(), func(t *testing.T) { test(t, r) })
	}
}

func asItIs(proxy) []edit { return nil }

// quietFor3s has the proxies wait no longer for a stream.
func quietFor3s(p proxy) []edit { return p.quiet }

// impatient has the proxies not wait for a gateway.
func impatient(p proxy) []edit { return p.away }

// never is a heartbeat that does not come in a test: what arrives has not been pushed on
// by one.
const never = "10m"

// The head of a stream and its priming come before any event, and an event comes by
// itself. So it is for a client that would take it compressed, and for one that asks by
// POST; and the end of a subject is one, after which there is nothing.
func TestStream(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"false", "true"} {
		t.Run("compression="+compression, func(t *testing.T) {
			g := startGateway(t, "--heartbeat", never, "--compression="+compression)
			each(t, g.address, asItIs, func(t *testing.T, r route) {
				c, subject := r.client(t, "127.0.0.1"), r.subject()
				plain := c.follow(t, "subject="+subject)
				offered := c.follow(t, "subject="+subject, "Accept-Encoding", "gzip")
				posted := newStream(t, c.do(t, http.MethodPost, "/v1/stream", `{"subject":"`+subject+`"}`, "Content-Type", "application/json"))
				if got := plain.res.Proto; got != r.protocol {
					t.Errorf("the proxy speaks %s", got)
				}
				if compressed := offered.res.Header.Get("Content-Encoding") == "gzip"; compressed != (compression == "true") {
					t.Errorf("compressed: %t", compressed)
				}
				streams := []*stream{plain, offered, posted}
				for _, s := range streams {
					s.await("id: ")
				}
				for _, data := range []string{"one", "two"} {
					id := g.publish(t, subject, data)
					for _, s := range streams {
						if got := s.event(data); got != id {
							t.Errorf("the event's id is %s, want %s", got, id)
						}
					}
				}
				id := g.publish(t, subject, "last", "Ringcast-End", "true")
				for _, s := range streams {
					s.event("last")
					if rest, err := s.end(); err != nil {
						t.Errorf("after the last event: %q, %v", rest, err)
					}
				}
				again := c.do(t, http.MethodGet, "/v1/stream?subject="+subject, "", "Last-Event-ID", id)
				if again.StatusCode != http.StatusNoContent {
					t.Errorf("after the end: %s", again.Status)
				}
			})
		})
	}
}

// A heartbeat that comes more often than a proxy's read time-out keeps a stream.
func TestStream_Quiet(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--heartbeat", "1s")
	each(t, g.address, quietFor3s, func(t *testing.T, r route) {
		t.Parallel()
		s := r.client(t, "127.0.0.1").follow(t, "subject="+r.subject())
		for range 5 { // seconds, of which the proxies wait for three
			s.await(":")
		}
		g.publish(t, r.subject(), "still here")
		s.event("still here")
	})
}

// Without a heartbeat the proxy ends the stream. Caddy alone would wait for ever.
func TestStream_TooQuiet(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--heartbeat", never)
	for _, r := range routes(t, []string{g.address}, quietFor3s) {
		if r.quiet == nil {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			s := r.client(t, "127.0.0.1").follow(t, "subject="+r.subject())
			rest, err := s.end()
			r.checkCut(t, rest, err)
		})
	}
}

// checkCut checks how a stream that was cut ends for the client: not cleanly, where the
// proxy can tell it.
func (r route) checkCut(t *testing.T, rest string, err error) {
	t.Helper()
	if err == nil && !r.endsCleanly(r.protocol) {
		t.Errorf("%s: a cut after %q looks like a clean end", r, rest)
	}
	t.Logf("%s: a cut after %q looks like %v", r, rest, err)
}

// A gateway that is killed or shut down cuts its streams. Their clients come back, while
// it is away or when it is there again, and miss nothing.
func TestStream_Restart(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			g := startGateway(t, "--retry", "1s")
			var followers []*follower
			for _, r := range routes(t, []string{g.address}, asItIs) {
				c := r.client(t, "127.0.0.1")
				followers = append(followers, &follower{route: r, client: c, stream: c.follow(t, "subject=events.x")})
			}
			for _, f := range followers {
				f.stream.await("id: ")
			}
			g.publish(t, "events.x", "before")
			for _, f := range followers {
				f.id = f.stream.event("before")
			}
			g.end(signal)
			for _, f := range followers {
				rest, err := f.stream.end()
				f.checkCut(t, rest, err)
				if told := strings.Contains(rest, "retry: "); told != (signal == syscall.SIGTERM) {
					t.Errorf("%s: told to come back: %t", f.route, told)
				}
			}
			back := make(chan error)
			for _, f := range followers {
				go func() { back <- f.comeBack("after") }()
			}
			g.restart(t)
			g.publish(t, "events.x", "after")
			for range followers {
				if err := <-back; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// follower is a client that comes back.
type follower struct {
	route
	client *client
	stream *stream
	id     string
}

// comeBack does what an EventSource does until it has the event, which is to be the next:
// after anything but a stream it would not come again.
func (f *follower) comeBack(data string) error {
	for {
		req, err := http.NewRequest(http.MethodGet, "https://"+host+"/v1/stream?subject=events.x", nil)
		if err != nil {
			return err
		}
		setHeaders(req, append(eventSource, "Last-Event-ID", f.id))
		got, err := f.client.firstData(req)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", f.route, err)
		case got == data:
			return nil
		case got != "":
			return fmt.Errorf("%s: got %q, want %q", f.route, got, data)
		}
		time.Sleep(50 * time.Millisecond) // the time that an EventSource lets pass, in short
	}
}

// A proxy that is stopped, as one that is reloaded, does not wait for the end of its
// streams: their clients would stay with what it was configured as before.
func TestProxy_Stop(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, w := range ways() {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			running, address := w.start(t, []string{g.address}, w.grace)
			var streams []*stream
			for _, protocol := range protocols {
				s := newClient(t, address, protocol, "127.0.0.1").follow(t, "subject=events.x")
				s.await("id: ")
				streams = append(streams, s)
			}
			running.end(w.leave)
			for _, s := range streams {
				_, _ = s.end() // which comes; how is not the gateway's
			}
		})
	}
}
