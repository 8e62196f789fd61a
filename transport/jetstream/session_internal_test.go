package jetstream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/tracing"
)

// Rule: a hole in the consumer's own sequence is a message lost on the way, and
// nothing after it may be appended.
func TestSession_dense(t *testing.T) {
	s := &session{nextCons: 1}
	events := make([]broker.Event, 4)
	if got, err := s.dense(batch{events: events[:2], consumerSeqs: []uint64{1, 2}}); err != nil || len(got) != 2 {
		t.Errorf("dense: %d events, %v", len(got), err)
	}
	got, err := s.dense(batch{events: events, consumerSeqs: []uint64{3, 4, 6, 7}})
	if !errors.Is(err, errLost) || len(got) != 2 {
		t.Errorf("with a hole: %d events, %v", len(got), err)
	}
}

// Rule: what an audit sees of the stream ends the session where the stream is not
// the one that was read, or ends before what was read when the stream was asked;
// that it is behind what came after says nothing.
func TestSession_check(t *testing.T) {
	created := time.Now()
	info := func(created time.Time, last uint64) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{Created: created, State: jetstream.StreamState{Msgs: 1, FirstSeq: 1, LastSeq: last}}
	}
	for _, test := range []struct {
		name string
		a    audit
		want error
	}{
		{"the_same", audit{position: 10, info: info(created, 10)}, nil},
		{"answered_late", audit{position: 8, info: info(created, 8)}, nil},
		{"no_answer", audit{position: 10, err: context.DeadlineExceeded}, nil},
		{"missing", audit{position: 10, err: ErrStreamMissing}, ErrStreamMissing},
		{"made_again", audit{position: 10, info: info(created.Add(1), 20)}, errReplaced},
		{"rewound", audit{position: 10, info: info(created, 9)}, errRewound},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &session{
				r: NewReader(&Client{}, ReaderOptions{}), sink: upstreamOnly{}, in: newInbox(1, 1, nil),
				created: created, head: broker.ID{Seq: 10, Stamp: 1},
			}
			if err := s.check(t.Context(), test.a); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// upstreamOnly is the part of a sink that an audit may touch.
type upstreamOnly struct{ broker.Sink }

func (upstreamOnly) Upstream(broker.ID) {}

// Rule: the inbox holds no more than its bounds, but always one event.
func TestInbox(t *testing.T) {
	done := make(chan struct{})
	in := newInbox(3, 100, done)
	small, large := broker.Event{Data: make([]byte, 10)}, broker.Event{Data: make([]byte, 500)}
	if !in.tryPut(large, 1, nil) {
		t.Error("an event larger than the bound found no room in an empty inbox")
	}
	if in.tryPut(small, 2, nil) {
		t.Error("more was put beside it")
	}
	if b := in.take(); len(b.events) != 1 || b.consumerSeqs[0] != 1 {
		t.Errorf("took %+v", b)
	}
	for i := range 3 {
		if !in.tryPut(small, uint64(i), nil) {
			t.Errorf("no room for event %d", i)
		}
	}
	if in.tryPut(small, 4, nil) {
		t.Error("a fourth event in an inbox for three")
	}
	close(done)
	in.put(small, 4, nil) // returns, though there is no room
	if in.empty() || len(in.take().events) != 3 || !in.empty() {
		t.Error("the inbox did not hold what was put")
	}
}

// However many of a batch are traced, no more spans are made of it than are allowed.
func TestInbox_Origins(t *testing.T) {
	in := newInbox(1000, 1<<20, make(chan struct{}))
	for i := range 3 * tracing.MaxPerBatch {
		if !in.tryPut(broker.Event{Subject: "events.x"}, uint64(i), &tracing.Origin{}) {
			t.Fatalf("no room for event %d", i)
		}
	}
	if b := in.take(); len(b.events) != 3*tracing.MaxPerBatch || len(b.origins) != tracing.MaxPerBatch {
		t.Errorf("%d events, %d origins", len(b.events), len(b.origins))
	}
	if b := in.take(); len(b.origins) != 0 {
		t.Errorf("%d origins are left", len(b.origins))
	}
}
