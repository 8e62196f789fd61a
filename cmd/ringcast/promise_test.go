package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/sse"
)

// The tests in this file are the promises of README.md against a process of its
// own, at the size of a working day: they kill it, delete its files, stop reading.

// promiseTimeout bounds every wait here: what takes longer has failed.
const promiseTimeout = 3 * time.Minute

// brokerProcess is a server process, which can be stopped and started again on its data.
type brokerProcess struct {
	t     *testing.T
	data  string
	cmd   *exec.Cmd
	ready readyLine
}

func startBroker(t *testing.T, args ...string) *brokerProcess {
	b := &brokerProcess{t: t, data: t.TempDir()}
	b.start(args...)
	return b
}

func (b *brokerProcess) start(args ...string) {
	b.t.Helper()
	var stderr *output
	b.cmd, stderr = subprocess(b.t, append([]string{"--listen", "127.0.0.1:0", "--data-dir", b.data, "--heartbeat", "1s"}, args...)...)
	b.ready = awaitReady(b.t, stderr)
}

// end ends the process by a signal and waits for it.
func (b *brokerProcess) end(s os.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
	err := b.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	if s == syscall.SIGTERM && err != nil {
		b.t.Errorf("ended by SIGTERM: %v", err)
	}
}

// publish stores the events "first" to "last", each followed by padding.
func (b *brokerProcess) publish(subject string, first, last int, padding string) {
	b.t.Helper()
	if err := publishNumbers(b.ready.NATS, subject, first, last, padding); err != nil {
		b.t.Fatal(err)
	}
}

func publishNumbers(natsURL, subject string, first, last int, padding string) error {
	nc, err := nats.Connect(natsURL)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		return err
	}
	for n := first; n <= last; n++ {
		if _, err := js.PublishAsync(subject, []byte(strconv.Itoa(n)+padding), jetstream.WithStallWait(promiseTimeout)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-time.After(promiseTimeout):
		return errors.New("publishing does not end")
	}
}

// follower is an open stream, read as a browser does.
type follower struct {
	t      *testing.T
	dec    *sse.Decoder
	body   io.Closer
	client *http.Client
}

func (b *brokerProcess) follow(query url.Values) *follower {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, b.ready.URL+"v1/stream?"+query.Encode(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Cache-Control", "no-cache")
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s", req.URL, resp.Status)
	}
	f := &follower{t: b.t, dec: sse.NewDecoder(resp.Body), body: resp.Body, client: client}
	stop := time.AfterFunc(promiseTimeout, f.close)
	b.t.Cleanup(func() { stop.Stop(); f.close() })
	return f
}

func (f *follower) close() {
	_ = f.body.Close()
	f.client.CloseIdleConnections()
}

// want reads the events "first" to "last", each followed by padding, and returns
// their ids.
func (f *follower) want(first, last int, padding string) (ids []string) {
	f.t.Helper()
	for n := first; n <= last; n++ {
		m, err := f.dec.Next()
		if err != nil {
			f.t.Fatalf("event %d: %v", n, err)
		}
		if m.Type != "message" || string(m.Data) != strconv.Itoa(n)+padding {
			f.t.Fatalf("got %s %.40q, want %d", m.Type, m.Data, n)
		}
		ids = append(ids, m.LastEventID)
	}
	return ids
}

// Promises 1 and 2: any id gets exactly the rest, whatever happened to the process
// and its ring in between.
func TestPromise_Resume(t *testing.T) {
	const n = 25_000
	b := startBroker(t)
	b.publish("events.x", 1, n, "")
	ids := b.follow(url.Values{"subject": {"events.x"}, "from": {"oldest"}}).want(1, n, "")
	resume := func(t *testing.T) {
		t.Helper()
		for _, known := range []int{1, 10_001, n - 1} {
			f := b.follow(url.Values{"subject": {"events.>"}, "last_event_id": {ids[known-1]}})
			f.want(known+1, n, "")
			f.close()
		}
	}
	resume(t)
	for _, tc := range []struct {
		name    string
		between func()
		args    []string
	}{
		{"killed", func() {}, nil},
		{"ring deleted", func() {
			if err := os.Remove(filepath.Join(b.data, "ring.db")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"ring cut short", func() {
			if err := os.Truncate(filepath.Join(b.data, "ring.db"), 100_000); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"ring of 1,000", func() {}, []string{"--ring-max-events", "1000"}},
	} {
		b.end(syscall.SIGKILL)
		tc.between()
		b.start(tc.args...)
		t.Run(tc.name, resume)
	}
	b.end(syscall.SIGTERM)

	b.start("--ring-max-events", "1000", "--stream-max-events", "5000", "--manage-stream")
	for id, reason := range map[string]string{ids[0]: "expired", "24000-abc": "reset", "25001-abc": "reset", "rubbish": "unknown"} {
		t.Run("gap "+reason, func(t *testing.T) {
			f := b.follow(url.Values{"subject": {"events.x"}, "last_event_id": {id}, "from": {"oldest"}})
			m, err := f.dec.Next()
			if err != nil || m.Type != sse.GapEvent || !strings.Contains(string(m.Data), fmt.Sprintf(`"reason":%q`, reason)) {
				t.Fatalf("got %+v, %v", m, err)
			}
			f.want(n-5000+1, n, "")
			f.close()
		})
	}
	b.end(syscall.SIGTERM)
}

// Promise 1: who waits for a quiet subject does not lose its place.
func TestPromise_Quiet(t *testing.T) {
	b := startBroker(t, "--ring-max-events", "1000", "--stream-max-events", "2000")
	f := b.follow(url.Values{"subject": {"events.quiet"}})
	b.publish("events.busy", 1, 50_000, "")
	id := b.bookmark(f, "50000-")
	b.publish("events.quiet", 1, 1, "")
	f = b.follow(url.Values{"subject": {"events.quiet"}, "last_event_id": {id}})
	f.want(1, 1, "")
	b.end(syscall.SIGTERM)
}

// bookmark reads the stream until its last event id begins with prefix.
func (b *brokerProcess) bookmark(f *follower, prefix string) string {
	b.t.Helper()
	raw, ok := f.body.(io.Reader)
	if !ok {
		b.t.Fatal("the body cannot be read")
	}
	var text strings.Builder
	buf := make([]byte, 1024)
	for {
		n, err := raw.Read(buf)
		if err != nil {
			b.t.Fatalf("after %q: %v", text.String(), err)
		}
		text.Write(buf[:n])
		if _, after, ok := strings.Cut(text.String(), "\nid: "+prefix); ok { // never the first line, which is retry:
			if id, _, ok := strings.Cut(after, "\n\n"); ok {
				return prefix + id
			}
		}
	}
}

// Promise 3: who stops reading is alone with it, and has lost nothing when it goes
// on.
func TestPromise_Slow(t *testing.T) {
	const n = 200_000
	padding := strings.Repeat(".", 200) // 40 MB in all: no socket buffers that
	b := startBroker(t, "--ring-max-events", "1000", "--write-timeout", "5m")
	slow := b.follow(url.Values{"subject": {"events.x"}})
	live := b.follow(url.Values{"subject": {"events.x"}})
	published := make(chan error, 1)
	go func() { published <- publishNumbers(b.ready.NATS, "events.x", 1, n, padding) }()
	live.want(1, n, padding)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	slow.want(1, n, padding)
	b.end(syscall.SIGTERM)
}
