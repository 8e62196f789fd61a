package jetstream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	// aheadBytes and aheadMessages bound what is read for one question: enough that
	// making a consumer for it does not show any more. 4 MiB were no faster.
	aheadBytes    = 1 << 20
	aheadMessages = 4096
)

// Read implements broker.History. What it returns may have been read from the stream
// for somebody else, or before: then the look at the stream that tells the floor also
// tells that the stream is still the same.
func (h *History) Read(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (p broker.Page, floor broker.ID, err error) {
	err = h.within(ctx, "read stream", func(ctx context.Context) error {
		p, floor, err = h.read(ctx, after, upTo, f, lim)
		return err
	})
	if err != nil {
		return broker.Page{}, broker.ID{}, err
	}
	return p, floor, nil
}

func (h *History) read(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (p broker.Page, floor broker.ID, err error) {
	if after >= upTo {
		k, err := h.look(ctx)
		return broker.Page{Position: broker.ID{Seq: upTo, Stamp: broker.NoStamp}}, k.floor, err
	}
	for {
		s, own, err := h.stretch(ctx, after, upTo, f, lim)
		if err != nil {
			return broker.Page{}, broker.ID{}, err
		}
		p := s.page(after, upTo, lim)
		// After the page: what retention took while it was read shows.
		k, err := h.look(ctx)
		if err != nil {
			return broker.Page{}, broker.ID{}, err
		}
		// What was read just now is of one stream in any case; which one, the caller
		// finds out (see broker.History).
		if own || k.generation == s.generation {
			p.Events = p.Events[countUpTo(p.Events, k.floor.Seq):]
			return p, k.floor, nil
		}
	}
}

// stretch returns a stretch that leads on from after: one that is kept, or one read
// for this caller, then own is true. Of those who want the same one reads, and the
// others wait.
func (h *History) stretch(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (s *stretch, own bool, err error) {
	for {
		if s := h.cache.stretch(f, after, upTo); s != nil {
			return s, false, nil
		}
		t, mine := h.cache.take(f, after)
		if mine {
			defer h.cache.finish(t)
			s, err = h.readAhead(ctx, after, upTo, f, lim)
			return s, true, err
		}
		select {
		case <-t.done:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// readAhead reads a stretch and keeps it.
func (h *History) readAhead(ctx context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (s *stretch, err error) {
	generation, err := h.generation(ctx, upTo)
	if err != nil {
		return nil, err
	}
	s = newStretch(f, after, generation)
	err = h.withSlot(ctx, func() error { return h.scan(ctx, s, upTo, h.ahead(after, f, lim)) })
	if err != nil {
		return nil, err
	}
	h.cache.add(s)
	return s, nil
}

// generation returns that of what is about to be read up to upTo and kept: only from a
// look on is the stream known to be the same.
func (h *History) generation(ctx context.Context, upTo uint64) (uint64, error) {
	if generation, ok := h.cache.knows(upTo); ok {
		return generation, nil
	}
	k, err := h.look(ctx)
	return k.generation, err
}

// ahead returns how many messages to read for one page: about as many as fit, and for
// a reader that reads on twice as many as the last time, up to aheadBytes. Where more
// readers are at different places than the cache has room for, what a reader reads on
// from is gone: they are back at a page at a time.
func (h *History) ahead(after uint64, f broker.Filter, lim broker.Limits) int {
	before, eventBytes := h.cache.before(f, after)
	n := min(lim.Events, lim.Bytes/eventBytes+1)
	if len(f.Types()) > 0 { // most may be of another type
		n = maxPull
	}
	if before != nil {
		n = max(n, 2*before.messages)
	}
	return min(n, max(aheadBytes/eventBytes, 1), aheadMessages)
}

// scan reads up to n messages into a new stretch, which then reaches up to the last of
// them, and to upTo where there are no more.
func (h *History) scan(ctx context.Context, s *stretch, upTo uint64, n int) error {
	scan, err := h.c.openScan(ctx, h.stream, jetstream.ConsumerConfig{
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    s.after + 1,
		FilterSubjects: disjoint(s.filter.Subjects()),
	})
	if err != nil {
		return err
	}
	defer scan.close()
	done := scan.pending == 0
	if !done {
		if done, err = scan.pull(ctx, n, h.pullBytes(), s.take); err != nil {
			return err
		}
	}
	switch {
	case done && s.end.Seq < upTo:
		s.end = broker.ID{Seq: upTo, Stamp: broker.NoStamp}
	case s.end.Seq == s.after:
		return errors.New("the server delivered no message of those that it has")
	}
	return nil
}

// pullBytes returns what to ask for so that, with room for the largest message, a pull
// brings about aheadBytes.
func (h *History) pullBytes() int { return max(aheadBytes-int(h.c.nc.MaxPayload()), 0) }
