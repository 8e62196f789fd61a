package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// A server keeps a mirror as it is when its origin is made again, or put back from an older
// copy. The mirror waits until the new origin has more sequences than it has itself, and
// then goes on with the new one's events, as if they came after its own (measured). Both
// have then events of their own under the same sequences: they have diverged. Which of the
// two is to stay only an operator knows, since the mirror may be all that is left of what
// was lost.
//
// So the reader of a mirror compares it with its origin when it begins and at each audit,
// and reads nothing while they differ; neither is the history asked then. What the sink
// holds is served on, but for what it took in of a mirror that had gone on already: then
// the sink is reset.
//
// A mirror that was cut off may go on the moment its origin is there again. So what comes
// waits from when the origin cannot be asked until it was compared.

// errDiverged: the mirror and its origin have other events under the same sequences.
var errDiverged = errors.New("the stream is a mirror of what its origin does not hold any more: one of the two has to be made again")

// divergence is an errDiverged, with what was found.
type divergence struct {
	// at is the sequence of an event of the mirror that its origin does not have.
	at   uint64
	what string
}

func (d *divergence) Error() string        { return errDiverged.Error() + ": " + d.what }
func (d *divergence) Is(target error) bool { return target == errDiverged }

// common is the newest event that a mirror and its origin were found to have both. Where
// the mirror has gone on with another origin's events since, that one has not got it.
type common struct {
	created time.Time // the mirror's
	id      broker.ID
}

// compareOrigin asks the origin of a mirror, of which info was asked before, whether it has
// the same events, and returns its newest one. An error that is no divergence says that it
// could not be told. Where the stream is no mirror there is nothing to ask. position is the
// sink's.
func (r *Reader) compareOrigin(ctx context.Context, info *jetstream.StreamInfo, position uint64) (newest broker.ID, err error) {
	o, ok := originOf(info.Config)
	if !ok {
		return broker.ID{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	state, err := r.reachedOrigin(ctx, o, headOf(info.State))
	if err != nil {
		return broker.ID{}, err
	}
	samples, err := r.samples(ctx, info, position)
	if err != nil {
		return broker.ID{}, fmt.Errorf("compare with origin: %w", err)
	}
	known := broker.ID{}
	for _, id := range samples {
		switch same, err := r.c.originHas(ctx, o, state, id); {
		case err != nil:
			return broker.ID{}, err
		case same == isOther:
			return broker.ID{}, &divergence{id.Seq, fmt.Sprintf("the mirror holds %s, its origin another event there", id)}
		case same == isSame && id.Seq > known.Seq:
			known = id
		}
	}
	if known.Seq > 0 { // only now: what follows a splice is the same
		r.setKnown(info.Created, known)
	}
	return headOf(state), nil
}

// reachedOrigin asks for the state of the origin, which is never behind that of a mirror
// that was asked before; but a new leader may answer before it has applied the end of its
// log.
func (r *Reader) reachedOrigin(ctx context.Context, o origin, mirror broker.ID) (jetstream.StreamState, error) {
	for look := 1; ; look++ {
		state, err := r.c.originState(ctx, o)
		switch {
		case err != nil:
			return state, err
		case state.LastSeq >= mirror.Seq:
			return state, nil
		case look == rewindConfirmations:
			return state, &divergence{mirror.Seq, fmt.Sprintf("the mirror holds %s, its origin ends at %s", mirror, headOf(state))}
		}
		timer := time.NewTimer(rewindInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return state, ctx.Err()
		}
	}
}

const (
	// compareTimeout bounds one comparison, of which the first takes as many questions as
	// there are samples, one after the other: each may take a tenth of a second and more.
	compareTimeout = 15 * time.Second
	// sampleGrowth is by how much samples lie farther back, each than the one before. With
	// 2 a stretch of the mirror that its origin does not have is found that is as long as
	// what has come after it.
	sampleGrowth = 2
)

// samples returns events of the mirror to look for at the origin: its newest, and the one
// that was found there the last time. Where there is none yet the mirror may have gone on
// with another origin's events long ago, so then more of its events, the denser the newer
// they are.
func (r *Reader) samples(ctx context.Context, info *jetstream.StreamInfo, position uint64) ([]broker.ID, error) {
	last := headOf(info.State)
	if known := r.known(info.Created); known.Seq > 0 {
		return []broker.ID{known, last}, nil
	}
	samples := []broker.ID{last}
	seqs := []uint64{info.State.FirstSeq, position}
	for back := uint64(1); back < last.Seq; back *= sampleGrowth {
		seqs = append(seqs, last.Seq-back)
	}
	for _, seq := range seqs {
		if seq < info.State.FirstSeq || seq >= last.Seq {
			continue
		}
		e, ok, err := r.c.getMsg(ctx, r.opt.Stream, msgGetRequest{Seq: seq})
		if err != nil {
			return nil, err
		}
		if ok {
			samples = append(samples, e.ID)
		}
	}
	return samples, nil
}

// sameness is how an event of the mirror stands to the origin's of the same sequence.
type sameness int

const (
	notTold sameness = iota // the origin has none, or none any more
	isSame
	isOther
)

// originHas looks at the origin, whose state is given, for an event of the mirror.
func (c *Client) originHas(ctx context.Context, o origin, state jetstream.StreamState, id broker.ID) (sameness, error) {
	ctx, cancel := context.WithTimeout(ctx, originTimeout)
	defer cancel()
	there := headOf(state)
	if id.Seq == 0 || id.Stamp == broker.NoStamp || id.Seq > there.Seq {
		return notTold, nil
	}
	if id.Seq < there.Seq { // else it need not be there to be known
		if id.Seq < state.FirstSeq {
			return notTold, nil
		}
		e, ok, err := c.getMsgOf(ctx, o, msgGetRequest{Seq: id.Seq})
		if err != nil {
			return notTold, fmt.Errorf("ask origin %s at %s: %w", o.stream, o.api, err)
		}
		if !ok {
			return notTold, nil
		}
		there = e.ID
	}
	switch {
	case there.Stamp == broker.NoStamp: // of an origin that was made to begin after it
		return notTold, nil
	case there != id:
		return isOther, nil
	}
	return isSame, nil
}

// known returns the newest event that the mirror made at that time, and its origin, were
// found to have both; the zero ID where there is none.
func (r *Reader) known(created time.Time) broker.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.common.created.Equal(created) {
		return broker.ID{}
	}
	return r.common.id
}

func (r *Reader) setKnown(created time.Time, id broker.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.common = common{created, id}
}

// compare compares the stream, where it is a mirror, with its origin before a session
// begins. One that is cut off is left for the audits: to ask takes a while then.
func (s *session) compare(ctx context.Context, info *jetstream.StreamInfo) error {
	before := s.r.c.divergence()
	if cutOff(info) && before == nil {
		s.hold(info)
		return nil
	}
	newest, err := s.r.compareOrigin(ctx, info, s.sink.Head().Seq)
	if err != nil && !errors.Is(err, errDiverged) && before != nil {
		return before
	}
	return s.compared(ctx, info, newest, err)
}

// compared draws the conclusions from what compareOrigin has returned.
func (s *session) compared(ctx context.Context, info *jetstream.StreamInfo, newest broker.ID, err error) error {
	d := (*divergence)(nil)
	switch {
	case errors.As(err, &d):
		return s.diverged(ctx, info, d)
	case err != nil:
		s.hold(info)
	default:
		s.held, s.originLast = false, newest.Seq
		s.noteDivergence(nil)
	}
	return nil
}

// hold has what comes wait until the mirror was compared with its origin, if that was ever
// possible: there may be an origin that may not be asked.
func (s *session) hold(info *jetstream.StreamInfo) { s.held = s.r.known(info.Created).Seq > 0 }

// diverged ends the session, and resets the sink where it has gone on with the mirror.
func (s *session) diverged(ctx context.Context, info *jetstream.StreamInfo, d *divergence) error {
	if s.r.c.divergence() == nil && s.wentOn(ctx, info, d) {
		s.r.update(func(st *ReaderStatus) { st.Resets++ })
		if err := s.startAt(headOf(info.State)); !errors.Is(err, errStartOver) {
			return err
		}
	}
	s.noteDivergence(d)
	return d
}

// wentOn reports whether the sink's newest event can be one of the origin as it is now, and
// not of that of the events before it.
func (s *session) wentOn(ctx context.Context, info *jetstream.StreamInfo, d *divergence) bool {
	o, ok := originOf(info.Config)
	head := s.sink.Head()
	if !ok || head.Seq <= d.at {
		return false
	}
	state, err := s.r.c.originState(ctx, o)
	if err != nil {
		return true // to be told of a reset in vain is the lesser evil
	}
	if head.Seq > state.LastSeq {
		return false
	}
	same, err := s.r.c.originHas(ctx, o, state, head)
	return err != nil || same != isOther
}

// noteDivergence keeps whether the mirror and its origin have diverged, for whoever asks the
// history too, and logs it once when that changes.
func (s *session) noteDivergence(d *divergence) {
	before := s.r.c.setDivergence(d)
	s.r.update(func(st *ReaderStatus) { st.Mirror.Diverged = d != nil })
	switch {
	case d != nil && before == nil:
		s.r.log.Warn("the stream is a mirror, and its origin was made again or put back: nothing is read until one of the two is made again", "why", d.what)
	case d == nil && before != nil:
		s.r.log.Info("the mirror has its origin's events again")
	}
}

// divergence returns how the mirror and its origin were last found to have diverged, nil
// where they have not.
func (c *Client) divergence() *divergence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.diverged
}

func (c *Client) setDivergence(d *divergence) (before *divergence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.diverged = c.diverged, d
	return before
}
