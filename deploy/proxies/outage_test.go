package proxies_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Without a gateway a browser's EventSource gets what has it come back; any other client
// gets an error.
func TestOutage_Nobody(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1"
	each(t, nobody, impatient, func(t *testing.T, r route) {
		c := r.client(t, "127.0.0.1")
		wantComeBack(t, c)
		for _, other := range []*http.Response{
			c.do(t, http.MethodGet, "/v1/stream?subject=events.x", "", "Accept", "text/event-stream"),
			c.do(t, http.MethodPost, "/v1/publish/events.x", "x", "Cache-Control", "no-cache"),
			c.do(t, http.MethodGet, "/v1/status", "", "Cache-Control", "no-cache"),
		} {
			if other.StatusCode != http.StatusBadGateway && other.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("another gets %s", other.Status)
			}
		}
	})
}

// wantComeBack checks that an EventSource is told to come back.
func wantComeBack(t *testing.T, c *client) {
	t.Helper()
	if rest, err := c.follow(t, "subject=events.x").end(); rest != "retry: 2000\n" || err != nil {
		t.Errorf("an EventSource reads %q, %v", rest, err)
	}
}

// A gateway that takes a request and is gone before it has answered has an EventSource come
// back, too. HAProxy has clients over HTTP/2 ask again by themselves.
func TestOutage_Dies(t *testing.T) {
	t.Parallel()
	var asked sync.Map // by the route's subject
	gateway := stub(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v1/stream" {
			return // a check
		}
		if _, again := asked.LoadOrStore(req.URL.Query().Get("subject"), true); !again {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "the second answer")
	})
	each(t, gateway, impatient, func(t *testing.T, r route) {
		want := "retry: 2000\n"
		if r.refuses != nil && r.refuses(r.protocol) {
			want = "the second answer"
		}
		if rest, err := r.client(t, "127.0.0.1").follow(t, "subject="+r.subject()).end(); rest != want || err != nil {
			t.Errorf("an EventSource reads %q, %v", rest, err)
		}
	})
}

// And so does one that never answers. Caddy alone would wait for ever.
func TestOutage_Silent(t *testing.T) {
	t.Parallel()
	gateway := stub(t, func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/stream" {
			<-req.Context().Done()
		}
	})
	for _, r := range routes(t, []string{gateway}, quietFor3s) {
		if r.quiet == nil {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			wantComeBack(t, r.client(t, "127.0.0.1"))
		})
	}
}

// What a gateway itself answers is passed on, whatever it is.
func TestOutage_OwnStatus(t *testing.T) {
	t.Parallel()
	statuses := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	gateway := stub(t, func(w http.ResponseWriter, req *http.Request) {
		status, err := strconv.Atoi(req.URL.Query().Get("subject"))
		if err != nil {
			return // a check
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d}`, status)
	})
	each(t, gateway, asItIs, func(t *testing.T, r route) {
		for _, status := range statuses {
			res := r.client(t, "127.0.0.1").do(t, http.MethodGet, "/v1/stream?subject="+strconv.Itoa(status), "", eventSource...)
			wantProblem(t, res, status)
		}
	})
}

// stub serves in the place of a gateway, over HTTP/1.1 and h2c, and returns its address.
func stub(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// Of three gateways two are killed at once. Whoever comes then is served by the third: the
// two have the fewest connections, and are tried first where nothing is learnt from that.
func TestOutage_TwoOfThree(t *testing.T) {
	t.Parallel()
	const many = 30
	gateways, addresses := startGateways(t, 3)
	all := routes(t, addresses, func(p proxy) []edit { return p.remember })
	var before []*stream
	for _, r := range all {
		for range 3 {
			before = append(before, r.client(t, "127.0.0.1").follow(t, "subject=events.x"))
		}
	}
	for _, s := range before {
		s.await("id: ")
	}
	for _, g := range gateways[:2] {
		g.end(syscall.SIGKILL)
	}
	for _, r := range all {
		t.Run(r.String(), func(t *testing.T) {
			for _, want := range []func(*testing.T){r.wantStream, r.wantPublished} {
				var asking sync.WaitGroup
				for range many {
					asking.Go(func() { want(t) })
				}
				asking.Wait()
			}
		})
	}
}

// startGateways starts some with a NATS each: of one gateway behind a proxy nobody asks
// for another's events here.
func startGateways(t *testing.T, n int, args ...string) (gateways []*gateway, addresses []string) {
	t.Helper()
	for range n {
		g := startGateway(t, args...)
		gateways, addresses = append(gateways, g), append(addresses, g.address)
	}
	return gateways, addresses
}

// wantStream checks that a new client gets a stream.
func (r route) wantStream(t *testing.T) {
	req := newRequest(t, http.MethodGet, "https://"+host+"/v1/stream?subject=events.x", "", eventSource...)
	if line, err := r.firstLine(t, req, "id: "); err != nil {
		t.Errorf("a new stream: %q, %v", line, err)
	}
}

// wantPublished checks that a new client publishes.
func (r route) wantPublished(t *testing.T) {
	req := newRequest(t, http.MethodPost, "https://"+host+"/v1/publish/events.y", "x")
	if line, err := r.firstLine(t, req, "{\"id\":"); err != nil {
		t.Errorf("a publisher: %q, %v", line, err)
	}
}

// firstLine returns the first line of an answer that begins so.
func (r route) firstLine(t *testing.T, req *http.Request, prefix string) (string, error) {
	res, err := r.client(t, "127.0.0.1").http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if res.StatusCode == http.StatusOK && strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text(), nil
		}
	}
	return lines.Text(), fmt.Errorf("%s, and no line with %s: %v", res.Status, prefix, lines.Err())
}

// When all gateways are gone, and known to be, who comes waits, and is served by the first
// that is there again, before the proxy has looked at it.
func TestOutage_All(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		if w.away == nil {
			continue // does not wait
		}
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			gateways, addresses := startGateways(t, 2)
			running, address := w.start(t, addresses, w.patient...)
			for i, g := range gateways {
				g.end(syscall.SIGKILL)
				if w.down != "" {
					running.awaitLine(fmt.Sprintf(w.down, i))
				}
			}
			var asking sync.WaitGroup
			for i, protocol := range protocols {
				r := route{way: w, address: address, protocol: protocol, number: i}
				asking.Go(func() { r.wantStream(t) })
				if !w.losesBody {
					asking.Go(func() { r.wantPublished(t) })
				}
			}
			gateways[1].restart(t)
			asking.Wait()
		})
	}
}

// A gateway that shuts down gets no more clients, though it serves those it has, once the
// proxy has looked at it. One that is not ready for another reason gets them.
func TestOutage_ShuttingDown(t *testing.T) {
	t.Parallel()
	gateway := func(reason string, asked *atomic.Int32) string {
		return stub(t, func(w http.ResponseWriter, req *http.Request) {
			switch req.URL.Path {
			case "/readyz":
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintf(w, `{"ready":false,"reasons":[%q]}`, reason)
			default:
				asked.Add(1)
			}
		})
	}
	for _, w := range ways() {
		if w.down == "" {
			continue // does not look
		}
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			var leaving, staying atomic.Int32
			running, address := w.start(t, []string{gateway("shutting down", &leaving), gateway("not connected to NATS: no servers", &staying)})
			running.awaitLine(fmt.Sprintf(w.down, 0))
			leaving.Store(0)
			const many = 20
			for range many {
				newClient(t, address, "HTTP/1.1", "127.0.0.1").do(t, http.MethodGet, "/v1/status", "")
			}
			if leaving.Load() != 0 || staying.Load() != many {
				t.Errorf("the gateway that shuts down was asked %d times, the other %d times", leaving.Load(), staying.Load())
			}
			if text := running.log.text(); strings.Contains(text, fmt.Sprintf(w.down, 1)) {
				t.Errorf("the other is down: %s", text)
			}
		})
	}
}
