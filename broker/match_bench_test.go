package broker_test

import (
	"fmt"
	"testing"

	"ringcast/broker"
)

// headLog keeps nothing but its head.
type headLog struct {
	broker.Log
	head broker.ID
}

func (l *headLog) Append(events []broker.Event) error {
	l.head = events[len(events)-1].ID
	return nil
}

func (l *headLog) Bounds() broker.Bounds { return broker.Bounds{Floor: l.head, Head: l.head} }

// BenchmarkHub_Append takes in an event after the other, each a batch of its own, as
// on a server that is not busy: one operation is one event, matched against so many
// subscriptions, each of a subject of its own, and against 64 with a wildcard, of
// which one in two may match. Nobody reads, so that after a first round nobody has to
// be woken either: what is measured is the match, and the way into the tail.
func BenchmarkHub_Append(b *testing.B) {
	for _, subscriptions := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("subscriptions=%d", subscriptions), func(b *testing.B) {
			hub := broker.NewHub(&headLog{}, nil, broker.HubOptions{})
			subjects := make([]string, subscriptions)
			for i := range subjects {
				subjects[i] = fmt.Sprintf("events.match.%d", i)
				subscribe(b, hub, subjects[i])
			}
			for i := range 32 {
				subscribe(b, hub, fmt.Sprintf("events.*.%d", i))
				subscribe(b, hub, fmt.Sprintf("events.room%d.>", i))
			}
			data := make([]byte, 128)
			seq := uint64(0)
			next := func() {
				seq++
				subject := subjects[seq*7919%uint64(subscriptions)] // far from the last one, and in the end each
				event := broker.Event{ID: broker.ID{Seq: seq, Stamp: int64(seq)}, Subject: subject, Data: data}
				if err := hub.Append([]broker.Event{event}); err != nil {
					b.Fatal(err)
				}
			}
			for range subscriptions {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}

func subscribe(b *testing.B, hub *broker.Hub, subject string) {
	f, err := broker.NewFilter([]string{subject}, nil)
	if err != nil {
		b.Fatal(err)
	}
	sub, err := hub.Subscribe(broker.Request{Filter: f})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sub.Close)
}
