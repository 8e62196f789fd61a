package jetstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// errAbandoned: who was to look was called off; another one has to.
var errAbandoned = errors.New("the look at the stream was called off")

// looks are looks at the stream, one after another, each shared by all who asked for
// one before it began. What was read from the stream earlier is good for a reader only
// when a look that began after the reader came finds the stream to be the same still:
//
// made at the same time as at the last look, and holding the anchor, which is the newest
// event known of it: the newest one at the last look, or of what was read since. The
// creation time alone does not tell of an older store that was put back, nor does the
// last sequence once that has grown again; the anchor does, since all that was read came
// before it. It is asked for after the stream's state: the other way round, the state
// could be another stream's already, and its newest event become the next anchor.
type looks struct {
	mu sync.Mutex // guards running and next; held for a few assignments
	// running has begun, next has not: who comes joins next.
	running, next *look
	// created is when the stream was made. It belongs to the running look.
	created time.Time
}

// look is one look at the stream.
type look struct {
	done chan struct{} // closed in finish, when the rest is set
	err  error
	// floor is the stream's.
	floor broker.ID
	// generation counts the streams found so far.
	generation uint64
}

// join returns the look to wait for. Where mine is true the caller has to take it,
// once before, unless nil, is done.
func (l *looks) join() (next *look, mine bool, before *look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		return l.next, false, nil
	}
	l.next = &look{done: make(chan struct{})}
	return l.next, true, l.running
}

// begin lets nobody join any more.
func (l *looks) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.next = l.next, nil
}

// finish hands the look to those who wait for it, begun or not.
func (l *looks) finish(k *look, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == k {
		l.running = nil
	} else {
		l.next = nil
	}
	k.err = err
	close(k.done)
}

// look returns what a look at the stream finds that begins after the call. With an error
// it means nothing, but is not nil.
func (h *History) look(ctx context.Context) (*look, error) {
	for {
		k, mine, before := h.looks.join()
		if mine {
			return k, h.takeLook(ctx, k, before)
		}
		select {
		case <-k.done:
		case <-ctx.Done():
			return k, context.Cause(ctx)
		}
		if k.err == nil {
			return k, nil
		}
		if !errors.Is(k.err, errAbandoned) {
			return k, k.err
		}
	}
}

// takeLook looks for all who have joined k. It does so in the caller's name, so that
// nothing goes on when nobody waits; when the caller is called off, another one does.
func (h *History) takeLook(ctx context.Context, k, before *look) error {
	err := h.awaitLook(ctx, before)
	if err == nil {
		err = h.withSlot(ctx, func() error {
			h.looks.begin()
			return h.lookAtStream(ctx, k)
		})
	}
	shared := err
	if ctx.Err() != nil {
		shared = errAbandoned
	}
	h.looks.finish(k, shared)
	return err
}

func (h *History) awaitLook(ctx context.Context, k *look) error {
	if k == nil {
		return nil
	}
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *History) lookAtStream(ctx context.Context, k *look) error {
	anchor := h.cache.newest()
	info, err := h.c.streamInfo(ctx, h.stream)
	if err != nil {
		return err
	}
	same := info.Created.Equal(h.looks.created)
	if same {
		if same, err = h.holds(ctx, info.State, anchor); err != nil {
			return err
		}
	}
	h.looks.created = info.Created
	k.floor, k.generation = floorOf(info.State), h.cache.seen(headOf(info.State), same)
	return nil
}

// holds reports whether the stream is known to hold the anchor.
func (h *History) holds(ctx context.Context, state jetstream.StreamState, anchor broker.ID) (bool, error) {
	switch last := headOf(state); {
	case anchor.Seq == 0:
		return true, nil
	case last.Seq <= anchor.Seq:
		return last == anchor, nil
	}
	e, ok, err := h.c.getMsg(ctx, h.stream, msgGetRequest{Seq: anchor.Seq})
	return ok && e.ID == anchor, err
}
