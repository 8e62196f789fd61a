package proxies_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// gateway is a gateway with everything embedded, as a process of its own.
type gateway struct {
	*process
	args    []string
	address string
}

func startGateway(t *testing.T, args ...string) *gateway {
	t.Helper()
	g := &gateway{
		args: append([]string{"serve", "--data-dir", t.TempDir(), "--nats-listen", "-1", "--log-format", "json", "--retry", "10ms"}, args...),
	}
	// Where no connection begins: its port is still free when it is started again.
	g.start(t, "127.0.0.2:0")
	return g
}

func (g *gateway) start(t *testing.T, listen string) {
	t.Helper()
	g.process = run(t, exec.Command(program, append(g.args, "--listen", listen)...))
	var ready struct{ URL string }
	if err := json.Unmarshal([]byte(g.awaitLine(`"ringcast is ready"`)), &ready); err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(ready.URL, "//")
	g.address = strings.TrimSuffix(address, "/")
}

// restart starts a gateway that has ended on its data and address.
func (g *gateway) restart(t *testing.T) {
	t.Helper()
	g.start(t, g.address)
}

// publish stores an event, past every proxy, and returns its id.
func (g *gateway) publish(t *testing.T, subject, data string, headers ...string) string {
	t.Helper()
	req := newRequest(t, http.MethodPost, "http://"+g.address+"/v1/publish/"+subject, data, headers...)
	var ack struct{ ID string }
	if err := json.Unmarshal([]byte(g.ask(t, req)), &ack); err != nil || ack.ID == "" {
		t.Fatalf("publish: %+v, %v", ack, err)
	}
	return ack.ID
}

// streams returns how many streams it has open.
func (g *gateway) streams(t *testing.T) int {
	t.Helper()
	var status struct{ Streams int }
	if err := json.Unmarshal([]byte(g.ask(t, newRequest(t, http.MethodGet, "http://"+g.address+"/v1/status", ""))), &status); err != nil {
		t.Fatal(err)
	}
	return status.Streams
}

func (g *gateway) ask(t *testing.T, req *http.Request) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", req.URL, res.Status, body, err)
	}
	return string(body)
}

// awaitStreams waits until the gateway has n streams open.
func (g *gateway) awaitStreams(t *testing.T, n int) {
	t.Helper()
	got := -1
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if got = g.streams(t); got == n {
			return
		}
		<-time.After(10 * time.Millisecond) // to look again; the gateway does not say
	}
	t.Fatalf("the gateway has %d streams, want %d", got, n)
}

// newRequest makes a request; headers are names and values by turns.
func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(req, headers)
	return req
}

func setHeaders(req *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
}
