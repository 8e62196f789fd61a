package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// audit is one look at the stream beside the reading of it. Some of what goes
// wrong there does not show in a consumer: it just stays silent.
type audit struct {
	// position is how far the session was before the stream was asked.
	position uint64
	info     *jetstream.StreamInfo
	// progress is the consumer's, as of after info; nil without a filter.
	progress *progress
	err      error

	// originNewest and originErr are of compareOrigin, after info.
	originNewest broker.ID
	originErr    error
}

// audit looks at the stream until ctx ends. It has a goroutine of its own, so
// that a server that answers late does not hold up events.
func (r *Reader) audit(ctx context.Context, position *atomic.Uint64, consumer jetstream.Consumer, out chan<- audit) {
	ticker := time.NewTicker(r.opt.AuditInterval)
	defer ticker.Stop()
	// With a filter only an audit tells that there is nothing to read.
	for first := r.filtered(); ; first = false {
		if !first {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		a := audit{position: position.Load()}
		a.info, a.err = r.askInfo(ctx)
		if r.filtered() && a.err == nil {
			a.progress, a.err = r.askProgress(ctx, consumer)
		}
		if a.err == nil {
			a.originNewest, a.originErr = r.compareOrigin(ctx, a.info, a.position)
		}
		select {
		case out <- a:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reader) askInfo(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return r.c.streamInfo(ctx, r.opt.Stream)
}

// check compares what was read with what the stream says it holds.
func (s *session) check(ctx context.Context, a audit) error {
	switch {
	case errors.Is(a.err, ErrStreamMissing):
		return a.err
	case a.err != nil:
		return nil // no answer is no evidence; the connection has its own watch
	case !a.info.Created.Equal(s.created):
		return errReplaced
	case a.info.State.LastSeq < a.position:
		return errRewound
	}
	if err := s.compared(ctx, a.info, a.originNewest, a.originErr); err != nil {
		return err
	}
	if err := s.checkDelivery(ctx, a); err != nil {
		return err
	}
	if a.progress != nil {
		if err := s.mark(ctx, a); err != nil {
			return err
		}
	}
	s.observe(a.info, a.progress)
	return nil
}

// checkDelivery looks for a consumer that has gone silent: the stream has more,
// nothing came since the last audit, and nothing waits here. Sequences at the
// end of the stream may have been deleted, so the leader is asked whether there
// is a message at all.
func (s *session) checkDelivery(ctx context.Context, a audit) error {
	state := a.info.State
	silent := state.LastSeq > max(s.head.Seq, s.tail) && s.auditedAt == s.head.Seq && s.in.empty()
	s.auditedAt = s.head.Seq
	if !silent {
		s.stuck = 0
		return nil
	}
	more, err := s.hasMore(ctx, a.progress)
	switch {
	case err != nil:
		return nil
	case !more:
		s.tail = state.LastSeq
		return nil
	}
	if s.stuck++; s.stuck < maxStuck {
		return nil
	}
	return fmt.Errorf("%w: at %d of %d", errStuck, s.head.Seq, state.LastSeq)
}

// hasMore reports whether the stream holds an event after the head that is to be read.
func (s *session) hasMore(ctx context.Context, p *progress) (more bool, err error) {
	if p != nil {
		return s.behind(p) > 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, more, err = s.r.c.getMsg(ctx, s.r.opt.Stream, msgGetRequest{Seq: s.head.Seq + 1, NextFor: ">"})
	return more, err
}

// observe notes the stream's state for Status and for the sink, with a filter the
// consumer's progress too, where it is known.
func (s *session) observe(info *jetstream.StreamInfo, p *progress) {
	state, newest := info.State, newestOf(info)
	reached := max(s.head.Seq, s.tail)
	if state.Msgs == 0 || reached >= state.LastSeq || p != nil && s.behind(p) == 0 {
		reached = state.LastSeq
	}
	s.sink.Upstream(newest)
	s.noteContact(info)
	s.r.update(func(st *ReaderStatus) {
		st.Mirror.Lag, st.Mirror.CutOff = s.mirrorLag(info), cutOff(info)
		st.Problem = ""
		switch {
		case cutOff(info):
			st.Problem = "the stream is a mirror that has no contact with its origin"
		case s.held:
			st.Problem = "the stream is a mirror whose origin cannot be asked: what comes from it waits"
		}
		st.Position = s.head.Seq
		st.LastSeq = newest.Seq
		st.Lag = newest.Seq - min(reached, newest.Seq)
		if p != nil {
			st.Lag = s.behind(p)
		}
		st.CaughtUp = st.CaughtUp || reached >= s.goal
	})
}

// mirrorLag returns how many events a mirror has yet to get, by its own account and that of
// its origin, which knows of more where the mirror is cut off.
func (s *session) mirrorLag(info *jetstream.StreamInfo) uint64 {
	if info.Mirror == nil {
		return 0
	}
	return max(info.Mirror.Lag, s.originLast-min(info.State.LastSeq, s.originLast))
}

// noteContact logs once that a mirror is cut off from its origin, and once that it is not
// any more.
func (s *session) noteContact(info *jetstream.StreamInfo) {
	switch cut := cutOff(info); {
	case cut == s.r.cutOff:
		return
	case cut:
		s.r.log.Warn("the stream is a mirror that has no contact with its origin: nothing new comes", "origin", info.Mirror.Name)
	default:
		s.r.log.Info("the mirror has contact with its origin again")
	}
	s.r.cutOff = !s.r.cutOff
}
