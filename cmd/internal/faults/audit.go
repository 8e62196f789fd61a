//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// auditStream compares the ledger with the stream: an acknowledged event that NATS
// does not hold was lost by NATS, and no client can have got it but those that were
// faster. An event that the stream has twice was stored twice.
func (r *run) auditStream(ctx context.Context, report *Report) error {
	var stored map[uint64]storedEvent
	var first uint64
	var failed error
	// A leader may still change, and take the consumer with it.
	if err := poll(ctx, requestPeriod, func() bool {
		stored, first, failed = r.readStream(ctx)
		return failed == nil
	}); err != nil {
		return fmt.Errorf("read the stream: %w", errors.Join(failed, err))
	}
	report.Stored = uint64(len(stored))
	gone := r.ledger.purgedUpTo()
	if r.retained { // what the stream's limits have taken is no loss
		gone = max(gone, first-1)
	}
	for _, s := range append(burstNames(), r.subjects...) {
		newest, _ := r.ledger.newest(s)
		for n := uint64(1); n <= newest; n++ {
			f, _ := r.ledger.fate(s, n)
			if f.gaveUp || f.seq <= gone || stored[f.seq] == (storedEvent{s, n}) {
				continue
			}
			r.violated(violation{Kind: unstored, At: time.Now(), Detail: fmt.Sprintf("%s %d was acknowledged as %d, where the stream has %v", s, n, f.seq, stored[f.seq])})
		}
	}
	places := make(map[storedEvent]uint64, len(stored))
	for seq, e := range stored {
		if other, twice := places[e]; twice {
			r.violated(violation{Kind: unstored, At: time.Now(), Detail: fmt.Sprintf("the stream has %s %d twice: as %d and %d", e.subject, e.counter, other, seq)})
		}
		places[e] = seq
	}
	return nil
}

// storedEvent is which event the stream has under a sequence.
type storedEvent struct {
	subject string
	counter uint64
}

// readStream returns what the stream holds of what was published, and its first
// sequence.
func (r *run) readStream(ctx context.Context) (stored map[uint64]storedEvent, first uint64, err error) {
	var consumer jetstream.Consumer
	var last uint64
	if err := ask(ctx, "make a consumer", func(ctx context.Context) error {
		stream, err := r.rig.js.Stream(ctx, streamName)
		if err != nil {
			return err
		}
		first, last = stream.CachedInfo().State.FirstSeq, stream.CachedInfo().State.LastSeq
		consumer, err = stream.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
		return err
	}); err != nil {
		return nil, 0, err
	}
	stored = map[uint64]storedEvent{}
	for at := uint64(0); at < last; {
		batch, err := consumer.Fetch(1000, jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			return nil, 0, err
		}
		n := 0
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return nil, 0, err
			}
			n++
			at = meta.Sequence.Stream
			if p, err := decodePayload(string(msg.Data())); err == nil && p.Subject != "" {
				stored[at] = storedEvent{p.Subject, p.Counter}
			}
		}
		if err := errors.Join(batch.Error(), ctx.Err()); err != nil {
			return nil, 0, err
		}
		if n == 0 {
			return stored, first, nil // purged up to its end
		}
	}
	return stored, first, nil
}
