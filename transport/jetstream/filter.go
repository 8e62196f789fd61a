package jetstream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// A reader with a filter has the server send it only what matches. What it then cannot
// see it has to ask for:
//
//   - Whether an event between two others was not meant for it or was taken by retention
//     first. So it asks for the stream's oldest event with every batch, after it has come
//     and before the sink has it (holes): retention takes the oldest first. What left the
//     stream unread is taken for something that matches.
//   - Whether the stream still holds the sink's head, which need not match any more
//     (verifyHead).
//   - How far the stream has gone on where nothing matches. Else the head of a quiet part
//     would fall behind the oldest event, and its readers with it. So the sink is now and
//     then given a mark: the id and subject of an event that does not match, and nothing
//     else of it. Nobody who is served by the filter can select its subject (mark).

// filterPause is the least time between two batches of a reader with a filter, and so
// bounds what it asks: 50 times a second.
const filterPause = 20 * time.Millisecond

// filtered reports whether the reader has a filter.
func (r *Reader) filtered() bool { return len(r.opt.Filter) > 0 }

// verifyHead compares the sink's head with the stream, where a consumer with a filter is
// not sure to begin with it. The consumer is there already: it ends with the stream that
// it reads.
func (s *session) verifyHead(ctx context.Context) error {
	if !s.r.filtered() || s.verified || s.head.Stamp == broker.NoStamp {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, ok, err := s.r.c.getMsg(ctx, s.r.opt.Stream, msgGetRequest{Seq: s.head.Seq})
	switch {
	case err != nil:
		return err
	case ok && e.ID != s.head:
		return s.mismatch(ctx, e.ID)
	}
	s.verified = ok // else the first event has to be a later one
	return nil
}

// progress is how far a consumer with a filter has come.
type progress struct {
	// pending is how many events it has yet to send, sent how many it has.
	pending, sent uint64
	// placed reports that it is on a server that has what the stream's leader has.
	placed bool
}

func (r *Reader) askProgress(ctx context.Context, consumer jetstream.Consumer) (*progress, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, err
	}
	placed, err := r.c.placedWell(ctx, r.opt.Stream, info)
	if err != nil {
		return nil, err
	}
	return &progress{pending: info.NumPending, sent: info.Delivered.Consumer, placed: placed}, nil
}

// behind returns how many events that match the sink has yet to get.
func (s *session) behind(p *progress) uint64 {
	handled := s.nextCons - 1
	return p.pending + p.sent - min(handled, p.sent)
}

// mark moves the sink's head on to where nothing that matches is missing. That is the end
// of the stream as the audit before this one found it: a replica, from which the consumer
// may read, has that by now, and the leader says so.
func (s *session) mark(ctx context.Context, a audit) error {
	past := s.looked
	s.looked = a.info.State.LastSeq
	if past <= s.head.Seq || !s.verified || !a.progress.placed || s.behind(a.progress) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, ok, err := s.r.c.getMsg(ctx, s.r.opt.Stream, msgGetRequest{Seq: past})
	if err != nil || !ok || broker.SubjectWithin(e.Subject, s.r.opt.Filter) == nil {
		return nil // the next time, if at all: what matches comes by itself
	}
	return s.append(ctx, []broker.Event{{ID: e.ID, Subject: e.Subject}}, nil)
}
