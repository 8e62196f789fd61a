package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	transport "ringcast/transport/jetstream"
)

// numbers returns the lines "first" to "last" as `pub --lines` reads them.
func numbers(first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		b.WriteString(strconv.Itoa(n) + "\n")
	}
	return b.String()
}

// wantNumbers checks that the lines are the numbers from first to last, in order,
// once.
func wantNumbers(t *testing.T, lines []string, first, last int) {
	t.Helper()
	want := completeLines(numbers(first, last))
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

func TestServe(t *testing.T) {
	data := t.TempDir()
	server, ready := serve(t, "--data-dir", data)
	ids := commandWith(t, strings.NewReader(numbers(1, 50)), "pub", "events.n", "--lines", "--url", ready.URL)
	if len(ids) != 50 {
		t.Fatalf("%d ids printed, want 50", len(ids))
	}
	sub := func(args ...string) []string {
		t.Helper()
		return command(t, append([]string{"sub", "events.>", "--url", ready.URL}, args...)...)
	}

	t.Run("oldest", func(t *testing.T) {
		wantNumbers(t, sub("--from", "oldest", "--count", "50", "--format", "raw"), 1, 50)
	})
	t.Run("from an id", func(t *testing.T) {
		wantNumbers(t, sub("--from", ids[9], "--count", "40", "--format", "raw"), 11, 50)
	})
	t.Run("last event id wins over from", func(t *testing.T) {
		wantNumbers(t, sub("--last-event-id", ids[48], "--from", "oldest", "--count", "1", "--format", "raw"), 50, 50)
	})
	t.Run("text", func(t *testing.T) {
		want := []string{ids[49] + "  events.n  message  50"}
		if diff := cmp.Diff(want, sub("--last-event-id", ids[48], "--count", "1")); diff != "" {
			t.Errorf("line differs (-want +got):\n%s", diff)
		}
	})
	t.Run("status", func(t *testing.T) {
		code, body := get(t, ready.URL+"v1/status")
		want := fmt.Sprintf(`"ring":{"oldest":%q,"newest":%q,"events":50,`, ids[0], ids[49])
		if code != 200 || !strings.Contains(body, want) || !strings.Contains(body, ready.NATS) {
			t.Errorf("status is %d %s, want in it %s and %s", code, body, want, ready.NATS)
		}
		limits := `"max_events":1000000,"max_bytes":268435456,"max_age_seconds":86400`
		if taken := `"counters":{"events":50,`; !strings.Contains(body, limits) || !strings.Contains(body, taken) {
			t.Errorf("status is %s, want in it %s and %s", body, limits, taken)
		}
	})
	t.Run("page", func(t *testing.T) {
		if code, body := get(t, ready.URL); code != 200 || !strings.Contains(body, "<title>") {
			t.Errorf("the page is %d %s", code, body)
		}
	})
	t.Run("ring is locked", func(t *testing.T) {
		p := launch(t, "ring", "stats", filepath.Join(data, "ring.db"))
		if status := p.end(t); status != exitError || !strings.Contains(p.stderr.String(), "in use by another process") {
			t.Errorf("ended with %d: %s", status, p.stderr)
		}
	})

	server.stop(t)
	if code, out := runRing(t, "check", filepath.Join(data, "ring.db")); code != exitOK || !strings.Contains(out, "is sound: 50 events") {
		t.Errorf("check ended with %d: %s", code, out)
	}
}

// A producer that knows nothing but NATS: a raw socket, no acknowledgement.
func TestServe_PlainNATS(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	sub := launch(t, "sub", "events.>", "--from", "oldest", "--url", ready.URL)
	conn, err := net.Dial("tcp", strings.TrimPrefix(ready.NATS, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	headers := "NATS/1.0\r\nRingcast-Event: greeting\r\n\r\n"
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nPUB events.x 5\r\nhello\r\nHPUB events.y %d %d\r\n%shi\r\nPING\r\n", len(headers), len(headers)+2, headers)
	lines := sub.stdout.await(t, 2)
	for i, want := range []string{"1-*  events.x  message  hello", "2-*  events.y  greeting  hi"} {
		if ok, _ := filepath.Match(want, lines[i]); !ok {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
		}
	}
}

func TestSub_Restart(t *testing.T) {
	data := t.TempDir()
	first, ready := serve(t, "--data-dir", data)
	sub := launch(t, "sub", "events.n", "--format", "raw", "--from", "oldest", "--url", ready.URL)
	commandWith(t, strings.NewReader(numbers(1, 20)), "pub", "events.n", "--lines", "--url", ready.URL)
	sub.stdout.await(t, 20)
	first.stop(t)

	// On the same port; what is published before the subscriber is back counts too.
	_, again := serve(t, "--data-dir", data, "--listen", ready.address())
	if again.RingEvents != 20 {
		t.Errorf("after the restart the ring holds %d events, want 20", again.RingEvents)
	}
	commandWith(t, strings.NewReader(numbers(21, 40)), "pub", "events.n", "--lines", "--url", ready.URL)
	wantNumbers(t, sub.stdout.await(t, 40), 1, 40)
	sub.stop(t)
	if gap := sub.stderr.String(); strings.Contains(gap, "GAP") {
		t.Errorf("told of a gap: %s", gap)
	}
}

// subprocess starts a server as a process of its own, which is killed at the end
// of the test.
func subprocess(t testing.TB, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	stderr := newOutput()
	cmd := exec.Command("ringcast", append([]string{"serve", "--nats-listen", "-1", "--log-format", "json", "--retry", "10ms"}, args...)...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails where it has ended
		_ = cmd.Wait()
	})
	return cmd, stderr
}

// Killed without a warning, the server comes back with every id, before anything
// new is published, and also without its ring.
func TestServe_Killed(t *testing.T) {
	data := t.TempDir()
	cmd, stderr := subprocess(t, "--listen", "127.0.0.1:0", "--data-dir", data)
	ready := awaitReady(t, stderr)
	ids := commandWith(t, strings.NewReader(numbers(1, 100)), "pub", "events.n", "--lines", "--url", ready.URL)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"

	resume := func(t *testing.T, url string) {
		t.Helper()
		for _, known := range []int{1, 50, 99} {
			got := command(t, "sub", "events.n", "--format", "raw", "--last-event-id", ids[known-1], "--count", strconv.Itoa(100-known), "--url", url)
			wantNumbers(t, got, known+1, 100)
		}
	}
	t.Run("restarted", func(t *testing.T) {
		server, ready := serve(t, "--data-dir", data)
		resume(t, ready.URL)
		server.stop(t)
	})
	t.Run("ring deleted", func(t *testing.T) {
		if err := os.Remove(filepath.Join(data, "ring.db")); err != nil {
			t.Fatal(err)
		}
		server, ready := serve(t, "--data-dir", data)
		resume(t, ready.URL)
		server.stop(t)
	})
	t.Run("ring smaller than the backlog", func(t *testing.T) {
		server, ready := serve(t, "--data-dir", data, "--ring-max-events", "10")
		resume(t, ready.URL)
		server.stop(t)
	})
}

func TestServe_Signals(t *testing.T) {
	cmd, stderr := subprocess(t, "--listen", "127.0.0.1:0", "--data-dir", t.TempDir())
	awaitReady(t, stderr)
	sendSignal(t, cmd, syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, stderr)
	}
}

// The first signal waits for a request that does not end; the second does not.
func TestServe_SecondSignal(t *testing.T) {
	cmd, stderr := subprocess(t, "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--shutdown-timeout", "1h", "--write-timeout", "1h")
	ready := awaitReady(t, stderr)
	conn, err := net.Dial("tcp", ready.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// 100 Continue says that the handler has begun to wait for the body.
	fmt.Fprintf(conn, "POST /v1/publish/events.x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("answer is %q, %v", line, err)
	}
	sendSignal(t, cmd, os.Interrupt)
	stderr.awaitLine(t, "shutting down")
	sendSignal(t, cmd, os.Interrupt)
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 128+int(syscall.SIGINT) {
		t.Errorf("after the second SIGINT: %v\n%s", err, stderr)
	}
}

func sendSignal(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// A request that outlasts the shutdown time-out is cut, and that is no error.
func TestServe_ShutdownTimeout(t *testing.T) {
	server, ready := serve(t, "--data-dir", t.TempDir(), "--shutdown-timeout", "0s", "--drain-time", "0s")
	conn, err := net.Dial("tcp", ready.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/publish/events.x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	server.stop(t)
	if !strings.Contains(server.stderr.String(), "cut the requests") {
		t.Errorf("not told of the cut: %s", server.stderr)
	}
}

// externalNATS starts a NATS server with a store that outlives it.
func externalNATS(t *testing.T, store string, port int) *transport.Embedded {
	t.Helper()
	e, err := transport.StartEmbedded(transport.EmbeddedOptions{StoreDir: store, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	return e
}

func portOf(t *testing.T, url string) int {
	t.Helper()
	port, err := strconv.Atoi(url[strings.LastIndexByte(url, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// With its NATS server away at the start, it serves what the ring holds, says that
// it is not ready and why, and goes on when the server is there.
func TestServe_ExternalNATSAway(t *testing.T) {
	store, data := t.TempDir(), t.TempDir()
	external := externalNATS(t, store, -1)
	url := external.ClientURL()
	first, ready := serve(t, "--data-dir", data, "--nats-url", url)
	ids := commandWith(t, strings.NewReader(numbers(1, 5)), "pub", "events.n", "--lines", "--url", ready.URL)
	first.stop(t)
	external.Shutdown()

	_, ready = serve(t, "--data-dir", data, "--nats-url", url)
	if ready.RingEvents != 5 || ready.RingHead != ids[4] {
		t.Errorf("the ring has %d events up to %s, want 5 up to %s", ready.RingEvents, ready.RingHead, ids[4])
	}
	wantNumbers(t, command(t, "sub", "events.n", "--format", "raw", "--last-event-id", ids[0], "--count", "4", "--url", ready.URL), 2, 5)
	if code, body := get(t, ready.URL+"readyz"); code != 503 || !strings.Contains(body, "not connected to NATS") {
		t.Errorf("readyz is %d %s", code, body)
	}
	if code, _ := get(t, ready.URL+"healthz"); code != 200 {
		t.Errorf("healthz is %d, want 200: NATS away is no reason to restart", code)
	}

	sub := launch(t, "sub", "events.n", "--format", "raw", "--last-event-id", ids[4], "--url", ready.URL)
	external = externalNATS(t, store, portOf(t, url))
	nc, err := nats.Connect(external.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "events.n", []byte("6")); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, sub.stdout.await(t, 1), 6, 6)
	if code, body := get(t, ready.URL+"readyz"); code != 200 {
		t.Errorf("readyz is %d %s after NATS is back", code, body)
	}
}

// TestServe_Errors: what only an operator can mend ends the program with exit
// status 1, and one line that is not of the log.
func TestServe_Errors(t *testing.T) {
	external := externalNATS(t, t.TempDir(), -1)
	nc, err := nats.Connect(external.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.*"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"stream of other subjects", []string{"--nats-url", external.ClientURL(), "--stream", "OTHER"}, []string{"OTHER", "other.*", "events.>"}},
		{"subjects of another stream", []string{"--nats-url", external.ClientURL(), "--subjects", "other.a"}, []string{"EVENTS", "overlap"}},
		{"listen port taken", []string{"--listen", taken.Addr().String()}, []string{taken.Addr().String(), "address already in use"}},
		{"admin port taken", []string{"--admin-listen", taken.Addr().String()}, []string{"admin listener", taken.Addr().String(), "address already in use"}},
		{"NATS port taken", []string{"--nats-listen", taken.Addr().String()}, []string{taken.Addr().String(), "address already in use"}},
		{"data directory is a file", []string{"--data-dir", occupied}, []string{occupied, "not a directory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"serve", "--listen", "127.0.0.1:0", "--nats-listen", "-1", "--log-level", "error", "--data-dir", t.TempDir()}, tt.args...)
			p := launch(t, args...)
			status := p.end(t)
			lines := p.stderr.lines()
			own := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "ringcast: ") })
			if status != exitError || len(own) != 1 {
				t.Fatalf("ended with %d and:\n%s", status, p.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(own[0], want) {
					t.Errorf("%q is not in: %s", want, own[0])
				}
			}
		})
	}
}

func TestDemo(t *testing.T) {
	demo, ready := serveCommand(t, "demo", "--data-dir", t.TempDir())
	if line := demo.stdout.await(t, 1)[0]; !strings.Contains(line, ready.URL) {
		t.Errorf("printed %q, want the URL %s in it", line, ready.URL)
	}
	quotes := command(t, "sub", "events.quotes.*", "--from", "oldest", "--count", "14", "--format", "json", "--url", ready.URL)
	for _, line := range quotes {
		if !strings.Contains(line, `"price":`) {
			t.Errorf("not a quote: %s", line)
		}
	}
	notification := command(t, "sub", "events.notify.*", "--from", "oldest", "--type", "notification", "--count", "1", "--url", ready.URL)
	if !strings.Contains(notification[0], "events.notify.") {
		t.Errorf("not a notification: %s", notification[0])
	}
	demo.stop(t)
}

func TestDemo_Subjects(t *testing.T) {
	p := launch(t, "demo", "--subjects", "orders.>", "--data-dir", t.TempDir())
	if status := p.end(t); status != exitUsage {
		t.Errorf("ended with %d, want %d", status, exitUsage)
	}
	if got := p.stderr.lines(); len(got) != 1 || !strings.Contains(got[0], "orders.>") {
		t.Errorf("on standard error: %q", got)
	}
}

// What is lost for good is told.
func TestSub_Gap(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	command(t, "pub", "events.n", "1", "--url", ready.URL)
	sub := launch(t, "sub", "events.n", "--last-event-id", "99-abc", "--from", "oldest", "--format", "raw", "--count", "1", "--url", ready.URL)
	if status := sub.end(t); status != exitOK {
		t.Fatalf("ended with %d: %s", status, sub.stderr)
	}
	wantNumbers(t, sub.stdout.lines(), 1, 1)
	if got := sub.stderr.String(); !strings.HasPrefix(got, `ringcast: GAP (reset) after "99-abc"`) {
		t.Errorf("on standard error: %q", got)
	}
}

// A finished subject ends its subscribers.
func TestSub_Finished(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	commandWith(t, strings.NewReader("half"), "pub", "events.job", "--url", ready.URL)
	commandWith(t, strings.NewReader("done"), "pub", "events.job", "-", "--end", "--event", "done", "--url", ready.URL)
	got := command(t, "sub", "events.job", "--from", "oldest", "--format", "raw", "--url", ready.URL)
	if diff := cmp.Diff([]string{"half", "done"}, got); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

func TestPub_Duplicate(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	first := command(t, "pub", "events.n", "1", "--id", "k", "--url", ready.URL)
	p := launch(t, "pub", "events.n", "1", "--id", "k", "--url", ready.URL)
	if status := p.end(t); status != exitOK {
		t.Fatalf("ended with %d: %s", status, p.stderr)
	}
	if diff := cmp.Diff(first, p.stdout.lines()); diff != "" {
		t.Errorf("ids differ (-first +second):\n%s", diff)
	}
	if got := p.stderr.String(); !strings.Contains(got, `"k"`) {
		t.Errorf("not told that it is a duplicate: %q", got)
	}
}

// Text from anybody does not reach the terminal as control characters.
func TestSub_Printable(t *testing.T) {
	_, ready := serve(t, "--data-dir", t.TempDir())
	for _, data := range []string{"\x1b[2Jgone", "two\nlines", "\xff\x00", "tab\tand 🎉"} {
		commandWith(t, strings.NewReader(data), "pub", "events.n", "--url", ready.URL)
	}
	var got []string
	for _, line := range command(t, "sub", "events.n", "--from", "oldest", "--count", "4", "--url", ready.URL) {
		got = append(got, line[strings.Index(line, "message"):])
	}
	want := []string{`message  "\x1b[2Jgone"`, `message  "two\nlines"`, "message  base64:/wA=", "message  tab\tand 🎉"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}
