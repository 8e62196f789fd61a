package broker_test

import (
	"context"
	"testing"

	"ringcast/broker"
)

// Subscribers of one filter who read from the same place get the same batch, and
// what was made of it.
func TestBatch_Encoded(t *testing.T) {
	w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 10, Bytes: 1 << 20}})
	var subs []*broker.Subscription
	for _, subject := range []string{"a", "a", "b"} {
		sub := w.subscribe(broker.Request{Filter: filter(subject)})
		defer sub.Close()
		expect(t, sub, nil)
		subs = append(subs, sub)
	}
	made := 0
	encode := func(b []byte, events []*broker.Delivery) []byte {
		made++
		for _, e := range events {
			b = append(b, e.Data...)
		}
		return b
	}
	read := func(sub *broker.Subscription) (encoded string, shared bool) {
		t.Helper()
		batch, ok := sub.TryNext()
		if !ok {
			t.Fatal("not in memory")
		}
		b, shared := batch.Encoded(1, encode)
		return string(b), shared
	}

	w.say("a", func(e *broker.Event) { e.Data = []byte("1") })
	w.say("b")
	w.say("a", func(e *broker.Event) { e.Data = []byte("2") })
	if b, ok := read(subs[0]); b != "12" || !ok {
		t.Errorf("the first got %q, %t", b, ok)
	}
	w.say("a", func(e *broker.Event) { e.Data = []byte("3") })
	if b, ok := read(subs[1]); b != "12" || !ok { // as the first did, and then
		t.Errorf("the second got %q, %t", b, ok)
	}
	for _, sub := range subs[:2] {
		if b, ok := read(sub); b != "3" || !ok {
			t.Errorf("then got %q, %t", b, ok)
		}
	}
	if made != 2 {
		t.Errorf("made %d times, want 2", made)
	}
	if _, ok := read(subs[2]); ok {
		t.Error("a batch for one subscriber is kept")
	}

	t.Run("not of another stream", func(t *testing.T) {
		w.say("a", func(e *broker.Event) { e.Data = []byte("old") })
		if b, _ := read(subs[0]); b != "old" {
			t.Fatalf("got %q", b)
		}
		w.rewind(4)
		w.say("a", func(e *broker.Event) { e.Data = []byte("new") })
		gaps, events, _, err := drain(subs[1])
		if err != nil || len(gaps) != 0 || len(events) != 1 || string(events[0].Data) != "new" {
			t.Errorf("got %v, %v, %v", gaps, events, err)
		}
	})
}

// TryNext says no where memory is not enough, and takes nothing then.
func TestSubscription_TryNext(t *testing.T) {
	w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 2, Bytes: 1 << 20}})
	sub := w.subscribe(broker.Request{Filter: filter("a")})
	defer sub.Close()
	if _, ok := sub.TryNext(); ok {
		t.Error("placed without looking")
	}
	expect(t, sub, nil)
	x, y := w.say("a"), w.say("a")
	if b, ok := sub.TryNext(); !ok || len(b.Events) != 2 || b.More || b.Position != y {
		t.Errorf("got %+v, %t, want %s and %s", b, ok, x, y)
	}
	all := []broker.ID{w.say("a"), w.say("a"), w.say("a")}
	if _, ok := sub.TryNext(); ok {
		t.Error("the tail does not reach back that far")
	}
	expect(t, sub, nil, all...)

	t.Run("the end is for Next to tell", func(t *testing.T) {
		w.say("a", func(e *broker.Event) { e.End = true })
		if b, ok := sub.TryNext(); !ok || len(b.Events) != 1 || b.Finished || !b.More {
			t.Errorf("got %+v, %t", b, ok)
		}
		if _, ok := sub.TryNext(); ok {
			t.Error("TryNext goes on")
		}
		if b, err := sub.Next(context.Background()); err != nil || !b.Finished {
			t.Errorf("got %+v, %v", b, err)
		}
	})
}

type waker chan struct{}

func (w waker) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// A Waker hears what Ready would.
func TestSubscription_Waker(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	woken := make(waker, 1)
	sub := w.subscribe(broker.Request{Filter: filter("a"), Waker: woken})
	defer sub.Close()
	if sub.Ready() != nil {
		t.Error("there is a channel too")
	}
	expect(t, sub, nil)
	w.say("b")
	select {
	case <-woken:
		t.Error("woken for an event that does not match")
	default:
	}
	x := w.say("a")
	<-woken
	expect(t, sub, nil, x)
	w.rewind(0)
	<-woken
}
