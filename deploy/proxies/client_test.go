package proxies_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// client is one client of a proxy, with an address of its own.
type client struct {
	http  *http.Client
	dials atomic.Int32 // the connections that it has made
}

// protocols are those that clients speak to a proxy.
var protocols = []string{"HTTP/1.1", "HTTP/2.0"}

// newClient returns a client of the proxy at the address, over one protocol.
func newClient(t *testing.T, proxy, protocol, from string) *client {
	t.Helper()
	c := &client{}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c.dials.Add(1)
			return dialer.DialContext(ctx, network, proxy)
		},
		TLSClientConfig:    &tls.Config{RootCAs: identity().roots(), MinVersion: tls.VersionTLS12},
		Protocols:          new(http.Protocols),
		DisableCompression: true,
	}
	transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
	transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
	c.http = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// do sends a request to a path of the host; its body is closed at the end of the test.
func (c *client) do(t *testing.T, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	res, err := c.http.Do(newRequest(t, method, "https://"+host+path, body, headers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// sendLarge posts a body that is refused by its length. A proxy may close the connection while
// it is still being sent, and who sends it may then not get to read why (RFC 9112, section
// 9.6): he tries again.
func (c *client) sendLarge(t *testing.T, path, body string) *http.Response {
	t.Helper()
	for attempt := 1; ; attempt++ {
		res, err := c.http.Do(newRequest(t, http.MethodPost, "https://"+host+path, body))
		if err == nil {
			t.Cleanup(func() { _ = res.Body.Close() })
			return res
		}
		if attempt == 10 || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	}
}

// eventSource is what a browser's EventSource sends.
var eventSource = []string{"Accept", "text/event-stream", "Cache-Control", "no-cache"}

// stream is an open stream.
type stream struct {
	t    *testing.T
	res  *http.Response
	body *bufio.Reader
}

// follow opens a stream as EventSource does.
func (c *client) follow(t *testing.T, query string, headers ...string) *stream {
	t.Helper()
	return newStream(t, c.do(t, http.MethodGet, "/v1/stream?"+query, "", append(headers, eventSource...)...))
}

func newStream(t *testing.T, res *http.Response) *stream {
	t.Helper()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("%s, %s: %s", res.Status, kind, body)
	}
	s := &stream{t: t, res: res, body: bufio.NewReader(res.Body)}
	if res.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		s.body = bufio.NewReader(plain)
	}
	return s
}

// await reads until a line that begins so, and returns the rest of that line.
func (s *stream) await(prefix string) string {
	s.t.Helper()
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatalf("no line that begins with %q: %v", prefix, err)
		}
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix); ok {
			return rest
		}
	}
}

// event reads the next event, which is to be this one, and returns its id.
func (s *stream) event(data string) string {
	s.t.Helper()
	if got := s.await("data: "); got != data {
		s.t.Fatalf("got %q, want %q", got, data)
	}
	return s.await("id: ")
}

// end reads to the end and returns what is read and how it ends: nil for a clean end.
func (s *stream) end() (string, error) {
	rest, err := io.ReadAll(s.body)
	return string(rest), err
}

func (s *stream) close() { _ = s.res.Body.Close() }

// firstData returns the data of the first event of a stream, none if it ends before one.
func (c *client) firstData(req *http.Request) (string, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return "", fmt.Errorf("%s, %s", res.Status, kind)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return data, nil
		}
	}
	return "", nil
}
