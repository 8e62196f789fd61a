package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	// maxMultiLast is how many subjects one direct get may ask about: the server
	// refuses more than 1,024 answers.
	maxMultiLast = 1000
	// maxMultiLastBytes bounds the request, which has to fit a payload.
	maxMultiLastBytes = 256 << 10
	// maxDirectBytes bounds what one direct get sends: it has no flow control.
	maxDirectBytes = 4 << 20

	seqHeader     = "Nats-Sequence"
	pendingHeader = "Nats-Num-Pending"
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

// last takes the newest event of each subject from a consumer made for that, and
// for the subjects whose newest is above upTo asks for the newest below it.
func (h *History) last(ctx context.Context, f broker.Filter, upTo uint64, most int) ([]uint64, error) {
	seqs, newer, err := h.newest(ctx, f, upTo, most)
	if err != nil {
		return nil, err
	}
	for chunk := range chunks(newer, maxMultiLast, maxMultiLastBytes) {
		older, err := h.lastUpTo(ctx, chunk, upTo)
		if err != nil {
			return nil, err
		}
		if seqs = append(seqs, older...); len(seqs) > most {
			return nil, broker.ErrTooMany
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

// newest returns the newest event of each subject where it is not above upTo,
// and the subjects where it is. Both together are bounded.
func (h *History) newest(ctx context.Context, f broker.Filter, upTo uint64, most int) (seqs []uint64, newer []string, err error) {
	if upTo == 0 {
		return nil, nil, nil
	}
	s, err := h.c.openScan(ctx, h.stream, jetstream.ConsumerConfig{
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		FilterSubjects: disjoint(f.Subjects()),
		HeadersOnly:    true,
	})
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	tooMany := false
	for done := s.pending == 0; !done; {
		done, err = s.pull(ctx, maxPull, maxPageBytes, func(m scanned) bool {
			switch e := m.event; {
			case !f.MatchesSubject(e.Subject):
			case e.ID.Seq > upTo:
				newer = append(newer, e.Subject)
			default:
				seqs = append(seqs, e.ID.Seq)
			}
			tooMany = len(seqs) > most || len(newer) > most
			return !tooMany
		})
		if tooMany {
			return nil, nil, broker.ErrTooMany
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return seqs, newer, nil
}

// chunks yields pieces of subjects, bounded in number and in bytes.
func chunks(subjects []string, most, mostBytes int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for start := 0; start < len(subjects); {
			end, bytes := start, 0
			for end < len(subjects) && end-start < most && (end == start || bytes+len(subjects[end]) <= mostBytes) {
				bytes += len(subjects[end])
				end++
			}
			if !yield(subjects[start:end]) {
				return
			}
			start = end
		}
	}
}

// lastUpTo returns the newest sequence up to upTo of each of these subjects that
// has one (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md).
func (h *History) lastUpTo(ctx context.Context, subjects []string, upTo uint64) (seqs []uint64, err error) {
	for from, more := uint64(1), true; more; {
		var page []uint64
		if page, more, err = h.multiLast(ctx, subjects, from, upTo); err != nil {
			return nil, err
		}
		if more && len(page) == 0 {
			return nil, errors.New("direct get: the server sent none of those that it has")
		}
		seqs = append(seqs, page...)
		if more {
			from = page[len(page)-1] + 1
		}
	}
	return seqs, nil
}

// multiLast is one direct get. It ends with a message of status 204, which says
// how many are left.
func (h *History) multiLast(ctx context.Context, subjects []string, from, upTo uint64) (seqs []uint64, more bool, err error) {
	nc := h.c.nc
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	request, err := json.Marshal(map[string]any{
		"multi_last": subjects, "seq": from, "up_to_seq": upTo, "max_bytes": maxDirectBytes,
	})
	if err != nil {
		return nil, false, err
	}
	if err := nc.PublishRequest(apiDirectGet+h.stream, sub.Subject, request); err != nil {
		return nil, false, err
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("direct get: %w", err)
		}
		if status := msg.Header.Get(statusHeader); status != "" && msg.Header.Get(seqHeader) == "" {
			more, err = endOfDirectGet(status, msg)
			return seqs, more, err
		}
		// The last value is the server's: a publisher may have sent one too.
		values := msg.Header[seqHeader]
		seq, err := strconv.ParseUint(values[len(values)-1], 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("direct get: read sequence: %w", err)
		}
		seqs = append(seqs, seq)
	}
}

func endOfDirectGet(status string, msg *nats.Msg) (more bool, err error) {
	switch status {
	case statusEnd:
		left := msg.Header.Get(pendingHeader)
		return left != "" && left != "0", nil
	case statusNoMsgs:
		return false, nil
	case statusFull:
		return false, broker.ErrTooMany
	}
	return false, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
}
