package worker_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"ringcast/transport/worker"
	"ringcast/transport/worker/workertest"
)

// An event whose acknowledgement was lost is published again and is stored once: a server
// that is alone finds first that the newest event, which is this very one, is not the one
// expected. Where another one has taken its place the answer has ended.
func TestAnswer_PublishedAgain(t *testing.T) {
	g := workertest.NewGateway(t, workertest.StartNATS(t))
	const subject = "events.answers.x"
	publish := func(n int, last uint64) (uint64, error) {
		return worker.PublishEvent(workertest.Within(t), g.JetStream, subject, "nonce", n, last)
	}
	for n, last := 1, uint64(0); n <= 3; n++ {
		first, err := publish(n, last)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := publish(n, last); err != nil || again != first {
			t.Errorf("event %d is stored as %d, and again as %d: %v", n, first, again, err)
		}
		last = first
	}
	if _, err := g.JetStream.PublishMsg(workertest.Within(t), &nats.Msg{Subject: subject, Data: []byte("the end")}); err != nil {
		t.Fatal(err)
	}
	if seq, err := publish(4, 3); !errors.Is(err, worker.ErrEnded) {
		t.Errorf("after the end: stored as %d, %v", seq, err)
	}
	stream, err := g.JetStream.Stream(workertest.Within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 4 {
		t.Errorf("%d events are stored, want 4", n)
	}
}
