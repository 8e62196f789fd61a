package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
)

// adminURL is where the program's admin listener is, with a slash behind.
func adminURL(t *testing.T, p *program) string {
	t.Helper()
	var said struct{ URL string }
	line := p.stderr.awaitLine(t, `"serving metrics and profiles"`)
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		t.Fatalf("log line %s: %v", line, err)
	}
	return said.URL
}

func TestServe_Admin(t *testing.T) {
	const password = "s3cret-of-nats"
	external := externalNATS(t, t.TempDir(), -1)
	natsURL := strings.Replace(external.ClientURL(), "nats://", "nats://me:"+password+"@", 1)
	server, ready := serve(t, "--data-dir", t.TempDir(), "--admin-listen", "127.0.0.1:0", "--nats-url", natsURL)
	admin := adminURL(t, server)
	for path, want := range map[string]string{
		"metrics":                       "\nringcast_nats_connected 1\n",
		"healthz":                       "ok\n",
		"debug/pprof/":                  "goroutine",
		"debug/pprof/goroutine?debug=1": "goroutine profile:",
	} {
		code, body := get(t, admin+path)
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is %d %s", path, code, body)
		}
		if strings.Contains(body, password) {
			t.Errorf("%s has the password in it: %s", path, body)
		}
	}
	if code, _ := get(t, admin+"debug/pprof/cmdline"); code != http.StatusNotFound {
		t.Errorf("the command line, which may have secrets, is answered with %d", code)
	}
	// The gateway's own listener has no profiles, and the metrics for who is granted them:
	// on a loopback address without keys everybody.
	if code, body := get(t, ready.URL+"debug/pprof/"); code == http.StatusOK && strings.Contains(body, "goroutine") {
		t.Errorf("the gateway serves profiles: %s", body)
	}
	if code, body := get(t, ready.URL+"metrics"); code != http.StatusOK || !strings.Contains(body, "\nringcast_caught_up 1\n") {
		t.Errorf("metrics are %d %s", code, body)
	}
	server.stop(t)
	if _, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(admin, "http://"), "/")); err == nil {
		t.Error("the admin listener is still there after the program has ended")
	}
}

// Without tokens nobody gets the gateway's metrics where access is configured; the
// admin listener is for who can reach it.
func TestServe_AdminAccess(t *testing.T) {
	server, ready := serve(t, "--data-dir", t.TempDir(), "--admin-listen", "127.0.0.1:0", "--anonymous", "subscribe events.>")
	if code, body := get(t, ready.URL+"metrics"); code != http.StatusUnauthorized {
		t.Errorf("without a token metrics are %d %s", code, body)
	}
	if code, _ := get(t, adminURL(t, server)+"metrics"); code != http.StatusOK {
		t.Errorf("on the admin listener they are %d", code)
	}
}

// What is being asked does not hold up the end.
func TestServe_AdminCut(t *testing.T) {
	server, _ := serve(t, "--data-dir", t.TempDir(), "--admin-listen", "127.0.0.1:0")
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(adminURL(t, server), "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /debug/pprof/trace?seconds=3600 HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the trace has begun
		t.Fatal(err)
	}
	server.stop(t)
}
