package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain puts a command "ringcast", which is this program, into the path of
// scripts and sub-processes, and looks for goroutines left behind by those that
// ran in this process.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"ringcast": main})
}

type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	for _, entry := range os.Environ() { // the developer's own settings are not the test's
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "RINGCAST_") || strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(natsLeaks...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// natsLeaks are goroutines in which a NATS server that is stopped goes on waiting for the
// origin of a mirror to answer, for up to 30 s.
var natsLeaks = []goleak.Option{
	goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).setupMirrorConsumer.func3"),
	goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).tryDeleteSourcingConsumer.func1"),
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage":   func(ts *testscript.TestScript, _ bool, args []string) { expectFailure(ts, 2, args) },
			"failure": func(ts *testscript.TestScript, _ bool, args []string) { expectFailure(ts, 1, args) },
		},
	})
}

// expectFailure runs `ringcast ARGS... => MESSAGE` and wants the exit status and
// one line on standard error, which is the message, and nothing on standard
// output.
func expectFailure(ts *testscript.TestScript, status int, args []string) {
	if len(args) < 2 || args[len(args)-2] != "=>" {
		ts.Fatalf("usage: usage|failure ARGS... => MESSAGE")
	}
	want := "ringcast: " + os.Expand(args[len(args)-1], ts.Getenv) + "\n"
	err := ts.Exec("ringcast", args[:len(args)-2]...)
	if want := fmt.Sprintf("exit status %d", status); err == nil || err.Error() != want {
		ts.Fatalf("ended with %v, want %s", err, want)
	}
	if got := ts.ReadFile("stderr"); got != want {
		ts.Fatalf("on standard error:\n%swant:\n%s", got, want)
	}
	if got := ts.ReadFile("stdout"); got != "" {
		ts.Fatalf("on standard output: %s", got)
	}
}

// patience bounds every wait of a test. It is never waited for unless something is
// wrong.
const patience = time.Minute

// program is a command that runs in this process.
type program struct {
	name           string
	interrupt      context.CancelFunc
	stdout, stderr *output
	status         chan int
}

// launch starts a command, which is interrupted at the end of the test.
func launch(t *testing.T, args ...string) *program {
	t.Helper()
	return launchWith(t, strings.NewReader(""), args...)
}

func launchWith(t *testing.T, stdin io.Reader, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{name: strings.Join(args, " "), interrupt: cancel, stdout: newOutput(), stderr: newOutput(), status: make(chan int, 1)}
	go func() { p.status <- run(ctx, args, stdin, p.stdout, p.stderr) }()
	t.Cleanup(func() {
		cancel()
		p.end(t)
	})
	return p
}

// end waits for the command and returns its exit status.
func (p *program) end(t *testing.T) int {
	t.Helper()
	select {
	case status := <-p.status:
		p.status <- status
		return status
	case <-time.After(patience):
		t.Fatalf("ringcast %s has not ended", p.name)
		return -1
	}
}

// stop interrupts the command, which is to end well.
func (p *program) stop(t *testing.T) {
	t.Helper()
	p.interrupt()
	if status := p.end(t); status != exitOK {
		t.Fatalf("ringcast %s ended with %d after an interrupt:\n%s", p.name, status, p.stderr)
	}
}

// command runs a command to its end, which is to be good, and returns its lines on
// standard output.
func command(t *testing.T, args ...string) []string {
	t.Helper()
	return commandWith(t, strings.NewReader(""), args...)
}

func commandWith(t *testing.T, stdin io.Reader, args ...string) []string {
	t.Helper()
	p := launchWith(t, stdin, args...)
	if status := p.end(t); status != exitOK {
		t.Fatalf("ringcast %s ended with %d: %s", p.name, status, p.stderr)
	}
	return p.stdout.lines()
}

// output keeps what a program writes.
type output struct {
	mu    sync.Mutex // guards text and grown; nothing blocks while it is held
	text  bytes.Buffer
	grown chan struct{} // closed by the next Write, which makes a new one
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	text, _ := o.snapshot()
	return text
}

func (o *output) snapshot() (text string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.grown
}

// lines returns the complete lines so far.
func (o *output) lines() []string {
	text, _ := o.snapshot()
	return completeLines(text)
}

func completeLines(text string) []string {
	lines := strings.Split(text, "\n")
	return lines[:len(lines)-1]
}

// await returns the lines once there are n of them.
func (o *output) await(t testing.TB, n int) []string {
	t.Helper()
	deadline := time.After(patience)
	for {
		text, grown := o.snapshot()
		if lines := completeLines(text); len(lines) >= n {
			return lines
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("want %d lines, got:\n%s", n, text)
		}
	}
}

// awaitLine returns the first line that contains text.
func (o *output) awaitLine(t testing.TB, text string) string {
	t.Helper()
	for n := 1; ; n++ {
		if line := o.await(t, n)[n-1]; strings.Contains(line, text) {
			return line
		}
	}
}

// readyLine is what a server logs when it is ready.
type readyLine struct {
	URL, NATS  string
	RingEvents int    `json:"ring_events"`
	RingHead   string `json:"ring_head"`
}

// address is where its gateway listens.
func (r readyLine) address() string {
	return strings.TrimSuffix(strings.TrimPrefix(r.URL, "http://"), "/")
}

func awaitReady(t testing.TB, stderr *output) readyLine {
	t.Helper()
	var ready readyLine
	line := stderr.awaitLine(t, `"ringcast is ready"`)
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatalf("log line %s: %v", line, err)
	}
	return ready
}

// serve starts a server and waits until it is ready.
func serve(t *testing.T, args ...string) (*program, readyLine) {
	t.Helper()
	return serveCommand(t, "serve", args...)
}

// serveCommand does for serve or demo, with defaults that suit a test and that
// args may override.
func serveCommand(t *testing.T, name string, args ...string) (*program, readyLine) {
	t.Helper()
	p := launch(t, append([]string{name, "--listen", "127.0.0.1:0", "--nats-listen", "-1", "--log-format", "json", "--retry", "10ms"}, args...)...)
	return p, awaitReady(t, p.stderr)
}

// get returns the status code and body of a GET.
func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	return request(t, http.MethodGet, url, "", header...)
}

// request makes a request, with headers in pairs, and returns the answer's status and body.
func request(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
