package jetstream

import (
	"context"
	"errors"
	"sync"

	"ringcast/broker"
)

// getParallel is how many messages of one Get are on the way at a time.
const getParallel = 8

// Get implements broker.History. What Last has read is not asked for again.
func (h *History) Get(ctx context.Context, seqs []uint64, lim broker.Limits) (events []broker.Event, next int, err error) {
	err = h.within(ctx, "get events", func(ctx context.Context) error {
		kept, err := h.kept(ctx, seqs, lim)
		if err != nil {
			return err
		}
		return h.withSlot(ctx, func() error {
			events, next, err = h.get(ctx, seqs, kept, lim)
			return err
		})
	})
	if err != nil {
		return nil, 0, err
	}
	return events, next, nil
}

// kept returns what is kept of the first events, nil for the others, once a look has
// found the stream to hold them still.
func (h *History) kept(ctx context.Context, seqs []uint64, lim broker.Limits) ([]*broker.Event, error) {
	kept, generation := h.cache.get(seqs, lim.Events)
	if kept == nil {
		return nil, nil
	}
	k, err := h.look(ctx)
	switch {
	case err != nil:
		return nil, err
	case k.generation != generation:
		return nil, nil
	}
	for i, e := range kept {
		if e != nil && e.ID.Seq <= k.floor.Seq {
			kept[i] = nil
		}
	}
	return kept, nil
}

// get returns the events until lim is reached, and asks for those that are not kept.
func (h *History) get(ctx context.Context, seqs []uint64, kept []*broker.Event, lim broker.Limits) (events []broker.Event, next int, err error) {
	maxBytes, bytes := min(lim.Bytes, maxPageBytes), 0
	for next < len(seqs) && len(events) < lim.Events {
		n := min(getParallel, len(seqs)-next, lim.Events-len(events))
		found, err := h.getParallel(ctx, seqs[next:next+n], kept[min(next, len(kept)):])
		if err != nil {
			return nil, 0, err
		}
		for _, e := range found {
			if len(events) > 0 && e != nil && bytes+e.Size() > maxBytes {
				return events, next, nil
			}
			next++
			if e != nil {
				events = append(events, *e)
				bytes += e.Size()
			}
		}
	}
	return events, next, nil
}

// getParallel returns the events with these sequences, nil for those not held.
func (h *History) getParallel(ctx context.Context, seqs []uint64, kept []*broker.Event) ([]*broker.Event, error) {
	found := make([]*broker.Event, len(seqs))
	copy(found, kept)
	errs := make([]error, len(seqs))
	var wg sync.WaitGroup
	for i, seq := range seqs {
		if found[i] != nil {
			continue
		}
		wg.Go(func() {
			e, ok, err := h.c.getMsg(ctx, h.stream, msgGetRequest{Seq: seq})
			if errs[i] = err; ok {
				found[i] = &e
			}
		})
	}
	wg.Wait()
	return found, errors.Join(errs...)
}
