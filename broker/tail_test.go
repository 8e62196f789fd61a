package broker_test

import (
	"context"
	"sync"
	"testing"

	"ringcast/broker"
)

// What keeps up does not read the log, and shares what was made of an event.
func TestDelivery_Encoded(t *testing.T) {
	w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 2, Bytes: 1 << 20}})
	first, second := w.subscribe(broker.Request{Filter: filter("a")}), w.subscribe(broker.Request{Filter: filter(">")})
	defer first.Close()
	defer second.Close()
	expect(t, first, nil)
	expect(t, second, nil)
	w.say("a")
	w.log.corrupt = true // whoever reads it now fails

	encoded := 0
	encode := func(b []byte, e *broker.Event) []byte {
		encoded++
		return append(b, e.Data...)
	}
	for _, sub := range []*broker.Subscription{first, second} {
		batch, err := sub.Next(context.Background())
		if err != nil || len(batch.Events) != 1 {
			t.Fatalf("got %+v, %v", batch, err)
		}
		d := batch.Events[0]
		for kind := range broker.Encodings {
			if b, ok := d.Encoded(kind, encode); !ok || string(b) != string(d.Data) || cap(b) != len(b) {
				t.Errorf("encoded %q, %t", b, ok)
			}
		}
	}
	if encoded != broker.Encodings {
		t.Errorf("made %d times, want once for each of %d encodings", encoded, broker.Encodings)
	}

	w.log.corrupt = false
	w.say("b")
	w.say("b")
	old := w.subscribe(broker.Request{Filter: filter("a"), From: broker.FromOldest})
	defer old.Close()
	batch, err := old.Next(context.Background())
	if err != nil || len(batch.Events) != 1 {
		t.Fatalf("got %+v, %v", batch, err)
	}
	if _, ok := batch.Events[0].Encoded(0, encode); ok {
		t.Error("an event that only one subscriber reads is kept encoded")
	}
}

// A quiet subscription whose position was left behind has missed nothing, and is
// not told so when its next event has just come (H2).
func TestSubscription_QuietAndFarBehind(t *testing.T) {
	w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 2, Bytes: 1 << 20}})
	w.say("b")
	sub := w.subscribe(broker.Request{Filter: filter("a")})
	defer sub.Close()
	expect(t, sub, nil)
	for range 20 {
		w.say("b")
	}
	x := w.say("a")
	w.say("b")
	w.say("b")
	w.log.evict(20)
	w.stream.floor = 20
	expect(t, sub, nil, x)
}

// Promise 1: who reads the tail while it moves on gets all of it, in order.
func TestSubscription_WhileTheTailMovesOn(t *testing.T) {
	const events = 20_000
	w := newWorld(broker.HubOptions{Tail: broker.Limits{Events: 16, Bytes: 1 << 20}})
	var readers sync.WaitGroup
	for range 4 {
		sub := w.subscribe(broker.Request{Filter: filter(">"), From: broker.FromOldest})
		readers.Go(func() {
			defer sub.Close()
			for seq := uint64(1); seq <= events; {
				batch, err := next(sub)
				if err != nil {
					t.Errorf("next: %v", err)
					return
				}
				for _, e := range batch.Events {
					if e.ID.Seq != seq {
						t.Errorf("got %s, want sequence %d", e.ID, seq)
						return
					}
					seq++
				}
				if !batch.More && seq <= events {
					<-sub.Ready()
				}
			}
		})
	}
	for seq := uint64(1); seq <= events; seq++ {
		e := broker.Event{ID: broker.ID{Seq: seq, Stamp: int64(seq)}, Subject: "a"}
		if err := w.hub.Append([]broker.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}
