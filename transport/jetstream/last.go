package jetstream

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// Last implements broker.History.
func (h *History) Last(ctx context.Context, f broker.Filter, upTo uint64, most int) (seqs []uint64, err error) {
	err = h.ask(ctx, "look up last events", func(ctx context.Context) error {
		seqs, err = h.last(ctx, f, upTo, most)
		return err
	})
	if err != nil {
		return nil, err
	}
	return seqs, nil
}

// last asks a consumer made for it for the newest event of each subject, without
// the payloads.
func (h *History) last(ctx context.Context, f broker.Filter, upTo uint64, most int) (seqs []uint64, err error) {
	if upTo == 0 {
		return nil, nil
	}
	s, err := h.c.openScan(ctx, h.stream, jetstream.ConsumerConfig{
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		FilterSubjects: disjoint(f.Subjects()),
		HeadersOnly:    true,
	})
	if err != nil {
		return nil, err
	}
	defer s.close()
	for done := s.pending == 0; !done; {
		done, err = s.pull(ctx, maxPull, maxPageBytes, func(m scanned) bool {
			if m.event.ID.Seq <= upTo && f.MatchesSubject(m.event.Subject) {
				seqs = append(seqs, m.event.ID.Seq)
			}
			return len(seqs) <= most
		})
		switch {
		case len(seqs) > most:
			return nil, broker.ErrTooMany
		case err != nil:
			return nil, err
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}
