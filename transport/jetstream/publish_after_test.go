package jetstream_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"ringcast/broker"
)

// Of those who have seen the same newest event of a subject, one alone follows it.
func TestClient_PublishAfter(t *testing.T) {
	s := startServer(t)
	c := connect(t, s.ClientURL())
	ensure(t, c)
	ctx := testContext(t)
	publish := func(subject string, last uint64) (uint64, error) {
		return c.PublishAfter(ctx, broker.Publication{Subject: subject, Type: "join", Data: []byte("x")}, last)
	}
	first, err := publish("events.a", 0)
	if err != nil || first != 1 {
		t.Fatal(first, err)
	}
	for _, last := range []uint64{0, 7} {
		if _, err := publish("events.a", last); !errors.Is(err, broker.ErrConflict) {
			t.Errorf("after %d: %v", last, err)
		}
	}
	if seq, err := publish("events.b", 0); err != nil || seq != 2 { // another subject is no conflict
		t.Fatal(seq, err)
	}
	var stored, refused atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := publish("events.a", first); {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, broker.ErrConflict):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if stored.Load() != 1 || refused.Load() != 19 {
		t.Errorf("%d stored, %d refused", stored.Load(), refused.Load())
	}
	s.stop()
	if _, err := publish("events.a", 3); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}
