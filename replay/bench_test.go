package replay_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// benchBatch returns n events of 128 bytes from seq on, on so many subjects.
func benchBatch(from uint64, n, subjects int) []broker.Event {
	now := time.Now().UnixNano()
	data := make([]byte, 128)
	events := make([]broker.Event, n)
	for i := range events {
		seq := from + uint64(i)
		events[i] = broker.Event{
			ID:      broker.ID{Seq: seq, Stamp: now + int64(i)},
			Subject: fmt.Sprintf("events.bench.%03d", seq%uint64(subjects)),
			Data:    data,
		}
	}
	return events
}

func openBench(b *testing.B, opts replay.Options) *replay.Ring {
	b.Helper()
	r, err := replay.Open(filepath.Join(b.TempDir(), "ring.db"), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}

// BenchmarkRing_Append appends events of 128 bytes in batches of 1,000.
func BenchmarkRing_Append(b *testing.B) {
	for _, bench := range []struct {
		name string
		opts replay.Options
	}{
		{"filling", replay.Options{MaxEvents: 1 << 30, MaxBytes: 1 << 33}},
		{"turning_over", replay.Options{MaxEvents: 100_000}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := openBench(b, bench.opts)
			batch := benchBatch(1, 1000, 1000)
			seq := uint64(1)
			if bench.opts.MaxEvents == 100_000 {
				for seq < 100_000 {
					appendFrom(b, r, batch, &seq)
				}
			}
			for b.Loop() {
				appendFrom(b, r, batch, &seq)
			}
			b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// appendFrom appends batch under new ids from *seq on.
func appendFrom(tb testing.TB, r *replay.Ring, batch []broker.Event, seq *uint64) {
	for i := range batch {
		batch[i].ID.Seq = *seq
		*seq++
	}
	if err := r.Append(batch); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkRing_Read reads pages of 1,000 events from 200,000.
func BenchmarkRing_Read(b *testing.B) {
	const events = 200_000
	r := openBench(b, replay.Options{})
	for seq := uint64(1); seq <= events; seq += 1000 {
		if err := r.Append(benchBatch(seq, 1000, 1000)); err != nil {
			b.Fatal(err)
		}
	}
	for _, bench := range []struct {
		name     string
		subjects []string
	}{
		{"all", []string{"events.>"}},
		{"one_subject", []string{"events.bench.500"}},
		{"ten_subjects", []string{
			"events.bench.000", "events.bench.100", "events.bench.200", "events.bench.300", "events.bench.400",
			"events.bench.500", "events.bench.600", "events.bench.700", "events.bench.800", "events.bench.900",
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f, err := broker.NewFilter(bench.subjects, nil)
			if err != nil {
				b.Fatal(err)
			}
			read := 0
			for b.Loop() {
				p, err := r.Read(0, f, broker.Limits{Events: 1000, Bytes: 1 << 20})
				if err != nil {
					b.Fatal(err)
				}
				read += len(p.Events)
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRing_Open opens a full ring of 1,000,000 events of 128 bytes on few and
// on many subjects, and reads what a client that resumes on one of them reads first.
func BenchmarkRing_Open(b *testing.B) {
	for _, subjects := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) { benchOpen(b, subjects) })
	}
}

func benchOpen(b *testing.B, subjects int) {
	path := filepath.Join(b.TempDir(), "ring.db")
	opts := replay.Options{MaxEvents: 1_000_000, MaxBytes: 1 << 30}
	r, err := replay.Open(path, opts)
	if err != nil {
		b.Fatal(err)
	}
	for seq := uint64(1); seq < 1_000_000; seq += 1000 {
		if err := r.Append(benchBatch(seq, 1000, subjects)); err != nil {
			b.Fatal(err)
		}
	}
	f, err := broker.NewFilter([]string{"events.bench.500"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var resume time.Duration
	for b.Loop() {
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		if r, err = replay.Open(path, opts); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if _, err := r.Read(0, f, broker.Limits{Events: 512, Bytes: 1 << 20}); err != nil {
			b.Fatal(err)
		}
		resume += time.Since(start)
	}
	b.ReportMetric(float64(resume.Microseconds())/float64(b.N), "µs-resume/op")
	b.ReportMetric(float64(r.Stats().FileSize)/(1<<20), "MiB")
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}
