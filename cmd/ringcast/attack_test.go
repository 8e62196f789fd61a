package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ringcast/transport/sse"
)

// victim is a server that takes tokens, and a token for events.a and what is below.
type victim struct {
	*program
	ready readyLine
	token string
}

func startVictim(t *testing.T, args ...string) *victim {
	t.Helper()
	secret := secretFile(t)
	p, ready := serve(t, append([]string{"--data-dir", t.TempDir(), "--jwt-secret-file", secret, "--log-level", "debug"}, args...)...)
	token := command(t, "token", "--secret-file", secret, "--sub", "mallory",
		"--subscribe", "events.a,events.a.>", "--publish", "events.a,events.a.>", "--admin", "status")[0]
	return &victim{p, ready, token}
}

// raw sends bytes that no client library would, and returns the answer's status line
// and the rest.
func (v *victim) raw(t *testing.T, request string) (status string, rest string) {
	t.Helper()
	conn, err := net.Dial("tcp", v.ready.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "TOKEN", v.token)); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // to its end, or the reset that ends it
	status, rest, _ = strings.Cut(string(answer), "\r\n")
	return status, rest
}

// alive checks that the server still does its work, and has not panicked.
func (v *victim) alive(t *testing.T) {
	t.Helper()
	if status, body := get(t, v.ready.URL+"healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d %s", status, body)
	}
	if strings.Contains(v.stderr.String(), "panic") {
		t.Errorf("it panicked: %s", v.stderr)
	}
	if strings.Contains(v.stderr.String(), v.token) {
		t.Error("the token is in its log")
	}
}

const authorized = "Authorization: Bearer TOKEN\r\nConnection: close\r\n\r\n"

// What comes over a socket from somebody who means harm is refused with a status of the
// four hundreds, and stores nothing.
func TestAttack_Requests(t *testing.T) {
	v := startVictim(t)
	host := "Host: " + v.ready.address() + "\r\n"
	for name, tc := range map[string]struct{ request, want string }{
		"path traversal":             {"GET /../../../etc/passwd HTTP/1.1\r\n" + host + authorized, "40"},
		"path traversal, encoded":    {"GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + host + authorized, "40"},
		"path traversal, backslash":  {"GET /assets/..\\..\\etc\\passwd HTTP/1.1\r\n" + host + authorized, "40"},
		"file of the server":         {"GET /web.go HTTP/1.1\r\n" + host + authorized, "404"},
		"line end in the subject":    {"GET /v1/stream?subject=events.a%0d%0aX: HTTP/1.1\r\n" + host + authorized, "400"},
		"NUL in the subject":         {"GET /v1/stream?subject=events.a%00b HTTP/1.1\r\n" + host + authorized, "400"},
		"line end when publishing":   {"POST /v1/publish/events.a%0d%0aPUB%20x%201 HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + authorized, "400"},
		"line end in the type":       {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Ringcast-Event: a\rdata: b\r\nContent-Length: 0\r\n" + authorized, "400"},
		"line end in the key":        {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Idempotency-Key: a\rb\r\nContent-Length: 0\r\n" + authorized, "400"},
		"line separator in the type": {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Ringcast-Event: a\xe2\x80\xa8b\r\nContent-Length: 0\r\n" + authorized, "400"},
		"type of the gateway's own":  {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Ringcast-Event: ringcast.gap\r\nContent-Length: 0\r\n" + authorized, "400"},
		"subject of JetStream":       {"POST /v1/publish/$JS.API.STREAM.DELETE.EVENTS HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + authorized, "400"},
		"subject of the system":      {"GET /v1/stream?subject=$SYS.> HTTP/1.1\r\n" + host + authorized, "400"},
		"inboxes":                    {"GET /v1/stream?subject=_INBOX.> HTTP/1.1\r\n" + host + authorized, "400"},
		"publish to an inbox":        {"POST /v1/publish/_INBOX.x HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + authorized, "400"},
		"everything":                 {"GET /v1/stream?subject=> HTTP/1.1\r\n" + host + authorized, "400"},
		"more than granted":          {"GET /v1/stream?subject=events.> HTTP/1.1\r\n" + host + authorized, "403"},
		"beside what is granted":     {"GET /v1/stream?subject=events.a&subject=events.b HTTP/1.1\r\n" + host + authorized, "403"},
		"wildcard beside it":         {"GET /v1/stream?subject=events.* HTTP/1.1\r\n" + host + authorized, "403"},
		"publish beside it":          {"POST /v1/publish/events.b HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + authorized, "403"},
		"last event id with a line":  {"GET /v1/stream?subject=events.a&last_event_id=1%0d%0adata:x&limit=1 HTTP/1.1\r\n" + host + "Accept: application/json\r\n" + authorized, "200"},
		"header over the limit":      {"GET /healthz HTTP/1.1\r\n" + host + "X-Long: " + strings.Repeat("x", 100<<10) + "\r\n" + authorized, "431"},
		"URL over the limit":         {"GET /v1/stream?subject=" + strings.Repeat("x", 100<<10) + " HTTP/1.1\r\n" + host + authorized, "431"},
		"subject over the limit":     {"GET /v1/stream?subject=events." + strings.Repeat("x", 2000) + " HTTP/1.1\r\n" + host + authorized, "400"},
		"body over the limit":        {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Content-Length: 9999999\r\n" + authorized, "413"},
		"two lengths":                {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 5\r\n" + authorized, "400"},
		"length and chunks":          {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked, identity\r\n" + authorized, "501"},
		"two hosts":                  {"GET /v1/stream?subject=events.a HTTP/1.1\r\n" + host + "Host: evil\r\n" + authorized, "400"},
		"a method of its own":        {"TRACE /v1/stream?subject=events.a HTTP/1.1\r\n" + host + authorized, "40"},
		"cross origin":               {"POST /v1/publish/events.a HTTP/1.1\r\n" + host + "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n" + authorized, "403"},
		"token in the URL":           {"GET /v1/stream?subject=events.a&token=TOKEN HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "4"},
		"no HTTP":                    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			status, rest := v.raw(t, tc.request)
			if !strings.HasPrefix(status, "HTTP/1.1 "+tc.want) {
				t.Errorf("%s\n%.500s", status, rest)
			}
			head, body, _ := strings.Cut(rest, "\r\n\r\n")
			if strings.Contains(body, "root:") || strings.Contains(body, v.token) || strings.Contains(head, "\r\nX:") || strings.Contains(rest, "goroutine ") {
				t.Errorf("gives away or repeats what it must not: %.500s", rest)
			}
		})
	}
	v.alive(t)
	if _, body := getAs(t, v.ready.URL+"v1/stream?subject=events.a&subject=events.a.>&from=oldest", v.token); !strings.Contains(body, `"events":[]`) {
		t.Errorf("something was stored: %s", body)
	}
}

// getAs fetches a page with a token.
func getAs(t *testing.T, url, token string) (int, string) {
	t.Helper()
	return getJSON(t, url, "Authorization", "Bearer "+token)
}

// A producer on NATS is trusted to publish, but not to write the wire: what it names an
// event cannot begin a line of its own.
func TestAttack_NATSHeaders(t *testing.T) {
	v := startVictim(t)
	const payload = "id: x\r\rid: y\n\nevent: z\n\ndata: w"
	conn, err := net.Dial("tcp", strings.TrimPrefix(v.ready.NATS, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var protocol strings.Builder
	protocol.WriteString("CONNECT {\"headers\":true,\"verbose\":false,\"pedantic\":false}\r\n")
	for _, header := range []string{
		"Ringcast-Event: a\rdata: injected",
		"Ringcast-Event: a\ndata: injected",
		"Ringcast-Event: a\r\n data: injected",
		"Ringcast-Event: a\u2028data: injected",
		"Ringcast-Event: a\x00b",
		"Ringcast-Event: ringcast.gap",
		"Ringcast-Event: " + strings.Repeat("x", 500),
		"Nats-Msg-Id: 1\rid: injected",
		"Ringcast-End: true\rretry: 1",
		"no header at all",
	} {
		block := "NATS/1.0\r\n" + header + "\r\n\r\n"
		fmt.Fprintf(&protocol, "HPUB events.a %d %d\r\n%s%s\r\n", len(block), len(block)+len(payload), block, payload)
	}
	protocol.WriteString("PUB events.a 7\r\nthe end\r\nPING\r\n")
	if _, err := io.WriteString(conn, protocol.String()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.ready.URL+"v1/stream?subject=events.a&from=oldest", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	const text = "id: x\n\nid: y\n\nevent: z\n\ndata: w"
	events := 0
	for dec := sse.NewDecoder(res.Body); ; {
		m, err := dec.Next()
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) == "the end" {
			break
		}
		if m.Type != "message" && m.Type != "a" || string(m.Data) != text || !strings.Contains(m.LastEventID, "-") {
			t.Errorf("an event came as %q %q %q", m.Type, m.LastEventID, m.Data)
		}
		events++
	}
	if events == 0 {
		t.Error("none of it was stored: the test says nothing")
	}
	v.alive(t)
}

// Who sends his header byte by byte is cut off, and does not keep others out.
func TestAttack_Slowloris(t *testing.T) {
	t.Parallel()
	v := startVictim(t)
	var conns []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", v.ready.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v1/stream?subject=events.a HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	v.alive(t)
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			for { // a byte a second does not save him
				if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
					return
				}
				if _, err := bufio.NewReader(conn).ReadByte(); err == nil || !isTimeout(err) {
					return // an answer, or the end
				}
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * patience):
		t.Error("slow clients are still connected")
	}
	v.alive(t)
}

func isTimeout(err error) bool {
	netErr, ok := err.(net.Error)
	return ok && netErr.Timeout()
}

// 10,000 clients that come and go as fast as they can, half of them in mid-request,
// leave nothing behind.
func TestAttack_ConnectStorm(t *testing.T) {
	const clients, workers = 10_000, 64
	v := startVictim(t, "--log-level", "info")
	request := []byte(strings.ReplaceAll("GET /v1/stream?subject=events.a HTTP/1.1\r\nHost: x\r\n"+authorized, "TOKEN", v.token))
	work := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := range work {
				conn, err := net.Dial("tcp", v.ready.address())
				if err != nil {
					t.Errorf("connection %d: %v", n, err)
					continue
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // a reset: the rudest end, and no TIME_WAIT
				send := request
				if n%2 == 1 {
					send = request[:n%len(request)]
				}
				_, _ = conn.Write(send)
				if n%4 == 0 {
					_, _ = conn.Read(make([]byte, 1)) // is being served
				}
				_ = conn.Close()
			}
		})
	}
	for n := range clients {
		work <- n
	}
	close(work)
	all.Wait()
	v.alive(t)
	for deadline := time.Now().Add(patience); ; {
		_, body := getAs(t, v.ready.URL+"v1/status", v.token)
		if strings.Contains(body, `"streams":0,`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("streams are left open: %s", body)
		}
	}
}
