package jetstream_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// What a stream of the gateway takes at a time.
var benchPage = broker.Limits{Events: 512, Bytes: 64 << 10}

// BenchmarkHistory_Read catches up from the history as a subscription does: a page,
// then the look at its start. Server, network and client are one process, so cpu-ns/event
// is what all of them take. Readers apart each have a part of the stream of their own,
// others the whole of it.
func BenchmarkHistory_Read(b *testing.B) {
	for _, bench := range []struct {
		readers, events, size int
		apart                 bool
	}{
		{readers: 1, events: 50_000, size: 2 << 10},
		{readers: 1, events: 50_000, size: 128},
		{readers: 50, events: 5_000, size: 2 << 10},
		{readers: 50, events: 5_000, size: 128},
		{readers: 100, events: 50_000, size: 2 << 10, apart: true},
	} {
		b.Run(fmt.Sprintf("readers=%d/events=%d/bytes=%d/apart=%v", bench.readers, bench.events, bench.size, bench.apart), func(b *testing.B) {
			newHistory := benchHistory(b, bench.events, bench.size, func(int) string { return "events.bench" })
			f := filter(b, []string{"events.>"})
			each := bench.events
			if bench.apart {
				each /= bench.readers
			}
			b.SetBytes(int64(bench.readers * each * bench.size))
			defer reportCPU(b, bench.readers*each)()
			for b.Loop() {
				h := newHistory()
				var readers sync.WaitGroup
				for i := range bench.readers {
					after := 0
					if bench.apart {
						after = i * each
					}
					readers.Go(func() {
						if n := catchUp(b, h, f, uint64(after), uint64(after+each)); n != each {
							b.Errorf("%d events of %d", n, each)
						}
					})
				}
				readers.Wait()
			}
		})
	}
}

// BenchmarkHistory_Last takes a snapshot of 5,000 subjects, page by page.
func BenchmarkHistory_Last(b *testing.B) {
	for _, readers := range []int{1, 20} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			const subjects, events = 5_000, 20_000
			newHistory := benchHistory(b, events, 128, func(i int) string { return fmt.Sprintf("events.%d", i%subjects) })
			f := filter(b, []string{"events.>"})
			b.SetBytes(int64(readers * subjects * 128))
			defer reportCPU(b, readers*subjects)()
			for b.Loop() {
				h := newHistory()
				var all sync.WaitGroup
				for range readers {
					all.Go(func() {
						if n := snapshot(b, h, f, events); n != subjects {
							b.Errorf("%d values of %d", n, subjects)
						}
					})
				}
				all.Wait()
			}
		})
	}
}

// benchHistory makes a stream, and histories of it that have read nothing yet.
func benchHistory(b *testing.B, events, size int, subject func(int) string) (newHistory func() *jetstream.History) {
	s := startServer(b)
	c, js := connect(b, s.ClientURL()), direct(b, s.ClientURL())
	ensure(b, c)
	data := make([]byte, size)
	for i := range events {
		if _, err := js.PublishAsync(subject(i), data); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 || i == events-1 {
			<-js.PublishAsyncComplete()
		}
	}
	return func() *jetstream.History {
		return jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	}
}

func catchUp(b *testing.B, h *jetstream.History, f broker.Filter, after, upTo uint64) (events int) {
	ctx := b.Context()
	for more := true; more; {
		p, _, err := h.Read(ctx, after, upTo, f, benchPage)
		if err != nil {
			b.Error(err)
			return events
		}
		if _, _, err := h.At(ctx, after); err != nil {
			b.Error(err)
			return events
		}
		events += len(p.Events)
		after, more = p.Position.Seq, p.More
	}
	return events
}

func snapshot(b *testing.B, h *jetstream.History, f broker.Filter, upTo uint64) (events int) {
	ctx := b.Context()
	seqs, err := h.Last(ctx, f, upTo, 50_000)
	if err != nil {
		b.Error(err)
		return 0
	}
	for len(seqs) > 0 {
		found, next, err := h.Get(ctx, seqs, benchPage)
		if err != nil {
			b.Error(err)
			return events
		}
		events += len(found)
		seqs = seqs[next:]
	}
	return events
}

// reportCPU reports the processor time of this process for each event from here to
// the call of what it returns.
func reportCPU(b *testing.B, events int) (report func()) {
	start := cpuTime(b)
	return func() {
		b.ReportMetric(float64(cpuTime(b)-start)/float64(events)/float64(b.N), "cpu-ns/event")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
