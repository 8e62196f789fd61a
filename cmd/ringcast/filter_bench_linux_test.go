package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/gateway"
	transport "ringcast/transport/jetstream"
)

// BenchmarkFilter measures the processor time that gateways take to take in a stream of
// which they serve all, or a third, at the same time: 128 bytes an event, three subjects in
// turn, so many about every millisecond. One operation is one event of the stream.
func BenchmarkFilter(b *testing.B) {
	for _, burst := range []int{3, 30, 300} {
		b.Run(fmt.Sprint(burst), func(b *testing.B) { benchmarkFilter(b, burst) })
	}
}

func benchmarkFilter(b *testing.B, burst int) {
	external, err := transport.StartEmbedded(transport.EmbeddedOptions{StoreDir: b.TempDir(), Port: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(external.Shutdown)
	all, third := meter(b, external.ClientURL(), ""), meter(b, external.ClientURL(), "events.a")
	b.ResetTimer()
	publishInBursts(b, external.ClientURL(), burst)
	a, t := all.took(b, uint64(b.N)), third.took(b, uint64(b.N)) // with a filter, a mark tells
	b.ReportMetric(float64(a.Microseconds())/float64(b.N), "µs-all/op")
	b.ReportMetric(float64(t.Microseconds())/float64(b.N), "µs-third/op")
	b.ReportMetric(float64(t)/float64(a), "third/all")
}

func publishInBursts(b *testing.B, natsURL string, burst int) {
	b.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 128)
	for n := range b.N {
		if n%burst == 0 {
			time.Sleep(time.Millisecond) // the rate, not a wait for anything
		}
		if _, err := js.PublishAsync(fmt.Sprintf("events.%c", 'a'+n%3), data, jetstream.WithStallWait(patience)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// metered is a gateway in a process of its own.
type metered struct {
	cmd    *exec.Cmd
	ready  readyLine
	before time.Duration
}

func meter(b *testing.B, natsURL, filter string) *metered {
	b.Helper()
	cmd, stderr := subprocess(b, "--listen", "127.0.0.1:0", "--data-dir", b.TempDir(), "--nats-url", natsURL, "--filter", filter)
	m := &metered{cmd: cmd, ready: awaitReady(b, stderr)}
	m.before = m.processorTime(b)
	return m
}

// took returns what the process has taken until its head came to a sequence.
func (m *metered) took(b *testing.B, head uint64) time.Duration {
	b.Helper()
	m.awaitHead(b, head)
	return m.processorTime(b) - m.before
}

// processorTime returns what the process has taken, user and system, in hundredths of a
// second.
func (m *metered) processorTime(b *testing.B) (sum time.Duration) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	for _, ticks := range fields[11:13] {
		n, err := strconv.ParseInt(string(ticks), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

func (m *metered) awaitHead(b *testing.B, seq uint64) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		resp, err := http.Get(m.ready.URL + "v1/status")
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var status gateway.Status
		if err := errors.Join(err, json.Unmarshal(text, &status)); err != nil {
			b.Fatal(err)
		}
		if status.HeadID.Seq >= seq {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Fatalf("the head has not come to %d", seq)
}
