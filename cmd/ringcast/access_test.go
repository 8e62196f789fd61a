package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// secretFile makes a secret by the command for it and returns its file.
func secretFile(t *testing.T) string {
	t.Helper()
	return keep(t, "secret", command(t, "token", "--new-secret"))
}

// keep writes the lines to a file.
func keep(t *testing.T, name string, lines []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A token of `ringcast token` does what it grants, by `ringcast pub` and `ringcast sub`,
// and what the operator's rules make of its claims.
func TestServe_Tokens(t *testing.T) {
	secret := secretFile(t)
	_, ready := serve(t, "--data-dir", t.TempDir(), "--jwt-secret-file", secret, "--rule", "subscribe events.notify.{sub}.>")
	token := func(args ...string) string {
		return keep(t, "token", command(t, append([]string{"token", "--secret-file", secret}, args...)...))
	}
	url := []string{"--url", ready.URL}
	producer := token("--sub", "job", "--publish", "events.notify.>")
	ann, bob := token("--sub", "ann"), token("--sub", "bob")

	command(t, append(url, "pub", "events.notify.ann.x", "hello", "--token-file", producer)...)
	lines := command(t, append(url, "sub", "events.notify.ann.>", "--from", "oldest", "--count", "1", "--format", "raw", "--token-file", ann)...)
	if len(lines) != 1 || lines[0] != "hello" {
		t.Errorf("ann got %q", lines)
	}
	for name, args := range map[string][]string{
		"another's token":   {"sub", "events.notify.ann.>", "--token-file", bob},
		"no token":          {"sub", "events.notify.ann.>"},
		"no grant":          {"pub", "events.notify.ann.x", "hello", "--token-file", ann},
		"a file that is no": {"sub", "events.notify.ann.>", "--token-file", secret},
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, append(url, args...)...)
			status, said := p.end(t), p.stderr.String()
			if status != exitError || !strings.Contains(said, "token") {
				t.Errorf("ended with %d: %s", status, said)
			}
			if strings.Contains(said, strings.TrimSpace(read(t, secret))) {
				t.Errorf("repeats the secret: %s", said)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Off the loopback interface nobody may do anything until that is configured.
func TestServe_AnonymousOffLoopback(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir(), "--listen", "0.0.0.0:0")
	address := "http://" + strings.Replace(ready.address(), "0.0.0.0", "127.0.0.1", 1)
	for _, path := range []string{"/v1/stream?subject=events.x", "/v1/status"} {
		if status, body := get(t, address+path); status != 401 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, ready = serve(t, "--data-dir", t.TempDir(), "--listen", "0.0.0.0:0", "--anonymous", "subscribe events.public.>")
	address = "http://" + strings.Replace(ready.address(), "0.0.0.0", "127.0.0.1", 1)
	if status, body := get(t, address+"/v1/stream?subject=events.x"); status != 401 {
		t.Errorf("%d %s", status, body)
	}
}

// Nor on it, when a proxy lets others in.
func TestServe_AnonymousBehindProxy(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir(), "--trusted-proxies", "127.0.0.1")
	if status, body := get(t, ready.URL+"v1/stream?subject=events.x"); status != 401 {
		t.Errorf("%d %s", status, body)
	}
}

// A service on NATS has the last word about what is granted.
func TestServe_Callout(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir(), "--anonymous", "subscribe >", "--subscribe-callout", "auth.subscribe")
	url := ready.URL + "v1/stream?limit=1&subject="
	if status, body := getJSON(t, url+"events.x"); status != 503 || strings.Contains(body, "auth.subscribe") {
		t.Errorf("without the service: %d %s", status, body)
	}
	nc, err := nats.Connect(ready.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("auth.subscribe", func(m *nats.Msg) {
		_ = m.Respond(fmt.Appendf(nil, `{"allow":%t,"reason":"because"}`, strings.Contains(string(m.Data), "events.public")))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]int{"events.public.x": 200, "events.x": 403} {
		if status, body := getJSON(t, url+subject); status != want || want == 403 && !strings.Contains(body, "because") {
			t.Errorf("%s: %d %s", subject, status, body)
		}
	}
}

// getJSON is get for a page, with headers in pairs.
func getJSON(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	return get(t, url, append([]string{"Accept", "application/json"}, header...)...)
}
