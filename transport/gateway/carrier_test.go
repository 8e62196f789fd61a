package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// carrier is what requests come over: an application protocol of TLS, or, where it
// has none, plain HTTP/1.1; compressed or not.
type carrier struct {
	name, protocol string
	compression    bool
}

// carriers are what TestStream_Carriers runs tests over.
var carriers = []carrier{
	{"TLS", "http/1.1", false},
	{"HTTP/2", "h2", false},
	{"gzip", "", true},
	{"gzip_over_HTTP/2", "h2", true},
}

// carrierOf returns what the test runs over, which is in its name: plain HTTP/1.1,
// unless TestStream_Carriers runs it.
func carrierOf(t testing.TB) carrier {
	_, name, _ := strings.Cut(t.Name(), "TestStream_Carriers/")
	for _, c := range carriers {
		if strings.HasPrefix(name, c.name+"/") {
			return c
		}
	}
	return carrier{name: "HTTP/1.1"}
}

// carry returns the listener, the address and the client for a server behind l.
func (c carrier) carry(l net.Listener) (net.Listener, string, *http.Client) {
	if c.protocol == "" {
		return l, "http://" + l.Addr().String(), &http.Client{Transport: &http.Transport{}}
	}
	server := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{c.protocol}}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate.Leaf)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusted, NextProtos: []string{c.protocol}},
		ForceAttemptHTTP2: c.protocol == "h2",
	}
	return tls.NewListener(l, server), "https://" + l.Addr().String(), &http.Client{Transport: transport}
}

// certificate is net/http's own for tests, which is for 127.0.0.1.
var certificate = func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	c := s.TLS.Certificates[0]
	c.Leaf = s.Certificate()
	return c
}()

// What net/http carries is held to the same as what is written to the connection
// itself.
func TestStream_Carriers(t *testing.T) {
	tests := map[string]func(*testing.T){
		"CorePublish":       TestStream_CorePublish,
		"Payloads":          TestStream_Payloads,
		"Resume":            TestStream_Resume,
		"Gaps":              TestStream_Gaps,
		"Counters":          TestCounters,
		"CountersGaps":      TestCounters_Gaps,
		"CountersOutcomes":  TestCounters_Outcomes,
		"Figures":           TestFigures,
		"GapBeforeItsID":    TestStream_GapBeforeItsID,
		"SnapshotIDs":       TestStream_SnapshotIDs,
		"Priming":           TestStream_Priming,
		"ResumeFromPriming": TestStream_ResumeFromPriming,
		"QuietSubject":      TestStream_QuietSubject,
		"LongSearch":        TestStream_LongSearch,
		"SlowClient":        TestStream_SlowClient,
		"WriteTimeout":      TestStream_WriteTimeout,
		"Quiet":             TestStream_QuietLongerThanWriteTimeout,
		"From":              TestStream_From,
		"Finished":          TestStream_Finished,
		"Leaves":            TestStream_Leaves,
		"Shutdown":          TestStream_Shutdown,
		"ShutdownUnread":    TestStream_ShutdownUnread,
		"Lifetime":          TestStream_Lifetime,
		"Limits":            TestLimits_Streams,
		"Drain":             TestDrain,
		"Expires":           TestAccess_Expires,
		"Revoked":           TestAccess_Revoked,
		"StreamLog":         TestRequest_StreamLog,
		"Subscriptions":     TestSubscriptions,
		"Presence":          TestPresence,
	}
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			for name, test := range tests {
				if c.compression && strings.Contains("WriteTimeout ShutdownUnread", name) {
					continue // what they send would be too little, compressed
				}
				t.Run(name, func(t *testing.T) {
					// These have a time for what they do, the others wait more than they work.
					if !slices.Contains([]string{"Drain", "Expires", "Presence", "StreamLog"}, name) {
						t.Parallel()
					}
					test(t)
				})
			}
		})
	}
}

// Compression is for those who ask for it, and where it is configured.
func TestStream_ContentEncoding(t *testing.T) {
	for _, tc := range []struct {
		configured   bool
		accept, want string
	}{
		{true, "gzip, deflate, br", "gzip"},
		{true, "br", ""},
		{true, "", ""},
		{false, "gzip", ""},
	} {
		r := newRig(t, func(o *rigOptions) { o.gateway.Compression = tc.configured })
		req := r.request(http.MethodGet, "/v1/stream?subject=events.x", "", "Accept-Encoding", tc.accept)
		s := r.open(req)
		if got := s.res.Header.Get("Content-Encoding"); got != tc.want {
			t.Errorf("%+v: Content-Encoding is %q", tc, got)
		}
		vary := strings.Join(s.res.Header.Values("Vary"), ", ")
		if want := strings.Contains(vary, "Accept-Encoding"); want != tc.configured {
			t.Errorf("%+v: Vary is %q", tc, vary)
		}
		s.close()
		r.stop()
	}
}

// Events of other clients are shared, compressed, with who comes later, has another
// filter, or reads them from the disk.
func TestStream_GzipShared(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.Compression = true })
	payload := func(i int) string { return fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("again and ", 40)) }
	var subs []*subscriber
	for _, query := range []string{"events.x", "events.x", "events.*", "events.x&format=cloudevents"} {
		s := r.subscribe("subject=" + query)
		s.primed()
		subs = append(subs, s)
	}
	for i := range 5 {
		r.publish("events.x", payload(i))
	}
	r.publish("events.x", payload(5), "Ringcast-End", "true")
	late := r.subscribe("subject=events.x&from=oldest")
	for n, s := range append(subs, late) {
		if s.res.Uncompressed != true {
			t.Fatal("not compressed")
		}
		for i := range 6 {
			m := s.next()
			if data := string(m.Data); data != payload(i) && !(n == 3 && strings.Contains(data, fmt.Sprintf(`"n":%d,`, i))) {
				t.Errorf("client %d got %q, want %q", n, data, payload(i))
			}
		}
		if n == 2 {
			continue // a wildcard does not end
		}
		if _, err := s.dec.Next(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("client %d: %v after the end", n, err) // the sum was wrong
		}
	}
}

// HTTP/1.0 has no chunks: the body goes on until the connection is closed.
func TestStream_HTTP10(t *testing.T) {
	r := newRig(t)
	r.publish("events.x", "1")
	conn := r.dial()
	if _, err := io.WriteString(conn, "GET /v1/stream?subject=events.x&from=oldest HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || len(res.TransferEncoding) != 0 {
		t.Errorf("%s, transfer encoding %q", res.Status, res.TransferEncoding)
	}
	r.publish("events.x", "2", "Ringcast-End", "true")
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "data: 1\n") || !strings.Contains(string(body), "data: 2\n") {
		t.Errorf("%q, %v", body, err)
	}
}

// dial opens a connection for a test that writes its own requests.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// The head of a response that is written by hand is what net/http would write.
func TestStream_Head(t *testing.T) {
	r := newRig(t)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		req := r.request(method, "/v1/stream?subject=events.x", "")
		conn := r.dial()
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK || !res.ProtoAtLeast(1, 1) || !res.Close || !slices.Equal(res.TransferEncoding, []string{"chunked"}) {
			t.Errorf("%s: %+v", method, res)
		}
		if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
			t.Errorf("%s: date: %v", method, err)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Vary": "Accept",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
		_ = conn.Close()
	}
}

// A client that leaves is noticed at once, though nothing is written to it.
func TestStream_Leaves(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.Heartbeat = time.Hour })
	var clients []*subscriber
	for range 20 {
		s := r.subscribe("subject=events.x")
		s.primed()
		clients = append(clients, s)
	}
	for i, s := range clients {
		s.close()
		r.await("the stream to end", func() bool { return r.streams() == len(clients)-1-i })
	}
	if n := r.hub.Subscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// A client that does not close its side after the end is not waited for.
func TestStream_EndUnclosed(t *testing.T) {
	r := newRig(t)
	r.publish("events.x", "1")
	conn := r.dial()
	if _, err := io.WriteString(conn, "GET /v1/stream?subject=events.x&from=oldest HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r.await("the stream to open", func() bool { return r.streams() == 1 })
	r.publish("events.x", "2", "Ringcast-End", "true")
	all, err := io.ReadAll(conn) // its side only
	if err != nil || !strings.HasSuffix(string(all), "\r\n0\r\n\r\n") {
		t.Errorf("%q, %v", all, err)
	}
	r.await("the stream to end", func() bool { return r.streams() == 0 })
}

// What a client sends after its request is ignored, within bounds.
func TestStream_TalkativeClient(t *testing.T) {
	r := newRig(t)
	conn := r.dial()
	if _, err := io.WriteString(conn, "GET /v1/stream?subject=events.x HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	expect := func(data string) {
		t.Helper()
		r.publish("events.x", data)
		for line := ""; line != "data: "+data+"\n"; {
			if line, err = body.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect("1")
	if _, err := io.WriteString(conn, "more"); err != nil {
		t.Fatal(err)
	}
	expect("2")
	for r.streams() == 1 {
		if _, err := conn.Write(make([]byte, 1024)); err != nil {
			r.await("the stream to end", func() bool { return r.streams() == 0 })
			break
		}
	}
}

// A shutdown does not wait for a client that does not read longer than it may; on the
// connection itself no longer than a moment.
func TestStream_ShutdownUnread(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		if o.gateway.WriteTimeout = time.Second; carrierOf(t).protocol == "" {
			o.gateway.WriteTimeout = time.Hour
		}
	})
	stuck := r.subscribe("subject=events.x")
	stuck.primed()
	big := strings.Repeat(".", 1<<20)
	for range 12 { // more than the socket's buffers
		r.publish("events.x", big)
	}
	r.stop() // fails the test when it takes too long
}

// An ingress may speak HTTP/2 to a pod without TLS.
func TestStream_H2C(t *testing.T) {
	r := newRig(t)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	r.http = &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	s := r.subscribe("subject=events.a")
	s.primed()
	if s.res.ProtoMajor != 2 {
		t.Errorf("over %s", s.res.Proto)
	}
	r.publish("events.a", "1")
	if got := s.read(1); got[0] != "1" {
		t.Errorf("got %q", got)
	}
}
