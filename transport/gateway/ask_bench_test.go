package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/transport/ask"
	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

// Answers cost what any stream of one's own does. Side by side: 500 clients that each
// have 400 events of a subject of their own, written by one producer as fast as it goes; and 500
// questions, asked at once, that are answered in 400 events each. Every client checks that
// it has its own events, all of them and in order.
func BenchmarkAnswers(b *testing.B) {
	const clients, events = 500, 400
	for _, tc := range []struct {
		name string
		open func(r *rig, n int) *http.Request
	}{
		{"plain", func(r *rig, n int) *http.Request {
			return r.request(http.MethodGet, fmt.Sprintf("/v1/stream?subject=events.plain.%d&from=oldest", n), "")
		}},
		{"asked", func(r *rig, n int) *http.Request {
			return r.request(http.MethodPost, "/v1/ask/chat", fmt.Sprint(n), "Content-Type", jsonBody)
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := newRig(b, asking())
				questions := make(chan answerOf, clients)
				if tc.name == "plain" {
					for n := range clients {
						questions <- answerOf{fmt.Sprintf("events.plain.%d", n), fmt.Sprint(n)}
					}
				} else {
					if _, err := r.nats.QueueSubscribe("ask.chat", "workers", func(m *nats.Msg) {
						questions <- answerOf{m.Header.Get(worker.HeaderAnswer), string(m.Data)}
						_ = m.Respond(nil)
					}); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				began := cpuTime(b)
				var running sync.WaitGroup
				running.Go(func() { answerAll(b, r, questions, clients, events) })
				for n := range clients {
					running.Go(func() { readAnswer(b, r, tc.open(r, n), n, events) })
				}
				running.Wait()
				b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/(clients*events), "cpu-µs/event")
				b.StopTimer()
				r.stop()
				b.StartTimer()
			}
		})
	}
}

// answerOf is where an answer goes and whose it is.
type answerOf struct{ subject, name string }

// answerAll writes all the answers a piece at a time, in turn, as many workers would.
func answerAll(b *testing.B, r *rig, questions <-chan answerOf, clients, events int) {
	var all []answerOf
	for range clients {
		all = append(all, <-questions)
	}
	published := r.hub.Head().Seq
	for i := range events {
		for _, a := range all {
			msg := &nats.Msg{Subject: a.subject, Data: fmt.Appendf(nil, "%s: %d", a.name, i), Header: nats.Header{jetstream.TypeHeader: {ask.TypeAdd}}}
			if i == events-1 {
				msg.Header = nats.Header{jetstream.TypeHeader: {ask.TypeFinish}, jetstream.EndHeader: {"true"}}
			}
			if err := r.nats.PublishMsg(msg); err != nil {
				b.Error(err)
			}
		}
		if err := r.nats.FlushTimeout(patience); err != nil { // what JetStream cannot take in time it drops
			b.Error(err)
		}
		r.reach(published + uint64((i+1)*len(all)))
	}
}

// readAnswer reads one answer to its end.
func readAnswer(b *testing.B, r *rig, req *http.Request, n, events int) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.Error(err)
	}
	i := 0
	for line := range strings.Lines(string(text)) {
		if data, ok := strings.CutPrefix(line, "data: "); ok && !strings.HasPrefix(data, "{") {
			if want := fmt.Sprintf("%d: %d\n", n, i); data != want {
				b.Errorf("client %d has %q, want %q", n, data, want)
			}
			i++
		}
	}
	if i != events {
		b.Errorf("client %d has %d events, want %d", n, i, events)
	}
}

// cpuTime returns the time that this process has had of all cores: server, producer and
// clients.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
