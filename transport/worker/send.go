package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/tracing"
)

// How often an event is published until it is stored. An acknowledgement that was lost
// with a connection never comes, so none is waited for for long.
const (
	ackTimeout  = 2 * time.Second
	firstRetry  = 50 * time.Millisecond
	longestWait = time.Second
)

// Error codes of JetStream. There are others that pass: those of a replicated stream while
// another publish of the same subject or message id is under way.
const (
	codeWrongLast        jetstream.ErrorCode = 10071
	codeWrongLastMsgID   jetstream.ErrorCode = 10070
	codeLargerThanStream jetstream.ErrorCode = 10054
)

// send publishes what is in the queue, one event after the other, until the last one or
// until it is no use. One event is under way at a time, and that is what keeps the
// order: none can overtake another that has to be published again. ctx bounds it all.
func (a *Answer) send(ctx context.Context, patience time.Duration) {
	defer a.noteOver()
	last := a.claim
	for n := 1; ; n++ {
		e, ok := a.next()
		if !ok {
			return
		}
		seq, err := a.publish(ctx, patience, a.message(e, n), last)
		switch {
		case err == nil && e.last:
			return
		case err == nil:
			last = seq
		case a.giveUp(err), e.typ == typeError:
			return
		}
	}
}

// next takes the oldest event from the queue, waiting for one.
func (a *Answer) next() (e event, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) == 0 && !a.left {
		a.changed.Wait()
	}
	if len(a.queue) == 0 {
		return event{}, false
	}
	e = a.queue[0]
	a.queue = a.queue[1:]
	a.size -= len(e.data)
	a.changed.Broadcast()
	return e, true
}

// giveUp notes that an event was not stored, after which the text cannot be whole any
// more, and reports whether there is no use in saying so.
func (a *Answer) giveUp(err error) (useless bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = err
	kept := a.queue[:0]
	for _, e := range a.queue {
		if e.last && e.typ == typeError {
			kept = append(kept, e)
		}
	}
	a.queue, a.size = kept, 0
	a.left = !errors.Is(err, ErrTooLarge)
	// A finish that was in the queue is not said: the answer is still to be ended.
	a.ended = a.left || len(kept) > 0
	a.cancel(err)
	a.changed.Broadcast()
	return a.left
}

func (a *Answer) noteOver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.changed.Broadcast()
}

func (a *Answer) message(e event, n int) *nats.Msg {
	m := &nats.Msg{Subject: a.subject, Data: e.data, Header: nats.Header{
		typeHeader:            {e.typ},
		jetstream.MsgIDHeader: {a.nonce + "." + strconv.Itoa(n)},
	}}
	if e.last {
		m.Header[endHeader] = []string{"true"}
	}
	tracing.Inject(a.ctx, m)
	return m
}

// publish stores an event after the one with sequence last. Published again, it is
// stored once, by its id; and it is not stored at all once the gateway has ended the
// answer, which that the newest event is another one tells.
func (a *Answer) publish(ctx context.Context, patience time.Duration, m *nats.Msg, last uint64) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		m.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(last, 10)}
		ack, err := a.try(ctx, m)
		if err == nil {
			return ack.Sequence, nil
		}
		var api *jetstream.APIError
		errors.As(err, &api)
		switch {
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, context.Canceled):
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case errors.Is(err, nats.ErrMaxPayload), api != nil && api.ErrorCode == codeLargerThanStream:
			return 0, fmt.Errorf("%w: %w", ErrTooLarge, err)
		case api != nil && api.ErrorCode == codeWrongLast:
			if !strings.HasSuffix(api.Description, ": 0") {
				return a.stored(ctx, m)
			}
			// Nothing is left of the answer: the stream's limits have taken it.
			last = 0
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// stored returns the sequence of an event that had been stored when it was published
// before, and ErrEnded where it is another event that is in its place. A server that is
// alone looks at the expected sequence before it looks for duplicates, one in a cluster
// the other way round; both look at the expected id after that. One that nothing has makes
// it a question.
func (a *Answer) stored(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	delete(m.Header, jetstream.ExpectedLastSubjSeqHeader)
	m.Header[jetstream.ExpectedLastMsgIDHeader] = []string{a.nonce + ".none"}
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		ack, err := a.try(ctx, m)
		if err == nil {
			return ack.Sequence, nil
		}
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == codeWrongLastMsgID {
			return 0, ErrEnded
		}
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, context.Canceled) {
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// try publishes once.
func (a *Answer) try(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return a.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
}
