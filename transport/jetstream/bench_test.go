package jetstream_test

import (
	"context"
	"testing"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// countingSink takes everything and keeps nothing.
type countingSink struct {
	head broker.ID
	want uint64
	done chan struct{}
}

func (s *countingSink) Head() broker.ID { return s.head }
func (s *countingSink) Append(events []broker.Event) error {
	s.head = events[len(events)-1].ID
	if s.head.Seq == s.want {
		close(s.done)
	}
	return nil
}
func (s *countingSink) Reset(at broker.ID) error { s.head = at; return nil }
func (s *countingSink) Upstream(broker.ID)       {}

// BenchmarkReader reads a stream of 128-byte events from an embedded server over
// loopback into a sink that drops them: one operation is one event.
func BenchmarkReader(b *testing.B) {
	s := startServer(b)
	c, js := connect(b, s.ClientURL()), direct(b, s.ClientURL())
	ensure(b, c)
	data := make([]byte, 128)
	for range b.N {
		if _, err := js.PublishAsync("events.bench", data); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	sink := &countingSink{want: uint64(b.N), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- jetstream.NewReader(c, jetstream.ReaderOptions{Stream: streamName}).Run(ctx, sink) }()
	<-sink.done
	b.StopTimer()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
