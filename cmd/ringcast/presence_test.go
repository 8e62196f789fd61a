package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	transport "ringcast/transport/jetstream"
)

const presenceRoom = "events.room.42"

// roomWatcher is what a client of the events of presence has seen.
type roomWatcher struct {
	t     *testing.T
	lines *bufio.Scanner
	there map[string]bool
	left  map[string]int
}

// openStream opens a stream with a token, until the test ends.
func openStream(t *testing.T, url, subject, token string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"v1/stream?subject="+subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	return res
}

// until reads events until n are there.
func (w *roomWatcher) until(n int) {
	w.t.Helper()
	typ := ""
	for len(w.there) != n {
		if !w.lines.Scan() {
			w.t.Fatalf("%d are there, want %d: %v", len(w.there), n, w.lines.Err())
		}
		line := w.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			typ = name
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Identities []string
			Count      int
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			w.t.Fatal(err)
		}
		for _, identity := range e.Identities {
			if w.there[identity] == (typ == "join") {
				w.t.Errorf("%s of %s, who is already", typ, identity)
			}
			if typ == "join" {
				w.there[identity] = true
			} else {
				delete(w.there, identity)
				w.left[identity]++
			}
		}
		if e.Count != len(w.there) {
			w.t.Errorf("count is %d, but there are %d", e.Count, len(w.there))
		}
	}
}

// Two gateways on one NATS server, with the times that they have by default: of one that
// is killed the clients leave, once each, but for those who have come to the other.
func TestServe_Presence(t *testing.T) {
	t.Parallel() // it waits, most of the time
	natsServer, err := transport.StartEmbedded(transport.EmbeddedOptions{StoreDir: filepath.Join(t.TempDir(), "nats"), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(natsServer.Shutdown)
	secret := secretFile(t)
	start := func(name string) (kill func(), url string) {
		cmd, stderr := subprocess(t, "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--nats-url", natsServer.ClientURL(),
			"--presence", "events.room.*", "--instance", name, "--jwt-secret-file", secret)
		url = awaitReady(t, stderr).URL
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, url
	}
	killA, a := start("a")
	_, b := start("b")
	token := func(name string) string {
		return command(t, "token", "--secret-file", secret, "--sub", name, "--subscribe", "events.room.*", "--subscribe", "events.$presence.room.*", "--admin", "subscriptions")[0]
	}
	watch := openStream(t, b, "events.$presence.room.42", token("watcher"))
	w := &roomWatcher{t, bufio.NewScanner(watch.Body), map[string]bool{}, map[string]int{}}
	for n := range 10 {
		openStream(t, a, presenceRoom, token(fmt.Sprint("of-a-", n)))
	}
	openStream(t, b, presenceRoom, token("of-b"))
	moves := token("moves")
	openStream(t, a, presenceRoom, moves)
	w.until(12)
	if code, body := getAs(t, b+"v1/subscriptions?subject="+presenceRoom, moves); code != http.StatusOK || !strings.Contains(body, `"total":12,`) {
		t.Errorf("subscriptions: %d %s", code, body)
	}

	killed := time.Now()
	killA()
	openStream(t, b, presenceRoom, moves)
	w.until(2)
	t.Logf("all had left %s after the kill", time.Since(killed).Round(100*time.Millisecond))
	for n := range 10 {
		if name := fmt.Sprint("of-a-", n); w.left[name] != 1 {
			t.Errorf("%s has left %d times", name, w.left[name])
		}
	}
	// One that comes in a's place learns of those who are there, and of nobody else.
	_, a = start("a")
	var who struct {
		Count   int
		Present []struct{ Identity string }
	}
	for deadline := time.Now().Add(patience); who.Count == 0 && time.Now().Before(deadline); {
		if code, body := getAs(t, a+"v1/presence?subject="+presenceRoom, moves); code == http.StatusOK {
			if err := json.Unmarshal([]byte(body), &who); err != nil {
				t.Fatal(err)
			}
		}
	}
	if names := fmt.Sprint(who.Present); who.Count != 2 || names != "[{moves} {of-b}]" {
		t.Errorf("there are %s", names)
	}
	openStream(t, a, presenceRoom, token("last"))
	w.until(3)
	if w.left["moves"] != 0 || w.left["of-b"] != 0 {
		t.Errorf("left: %v", w.left)
	}
}
