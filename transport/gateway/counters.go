package gateway

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ringcast/broker"
)

// Counters counts what a gateway has done since Status.Started. A counter never goes
// back within a process: what two readings differ by, over the time between them, is
// a rate.
type Counters struct {
	// Events is how many events were taken in from the stream, and EventBytes what
	// their payloads, subjects and types have together. Those that refill the ring
	// after a restart or a reset of the stream count too.
	Events     uint64 `json:"events"`
	EventBytes uint64 `json:"event_bytes"`
	// Deliveries is how many events were sent, once for each client, on streams and
	// in pages.
	Deliveries uint64 `json:"deliveries"`
	// DeliveryBytes is what was sent with them: the bytes of streams from the first on,
	// compressed where they are, and of pages; without the headers of responses that
	// net/http writes, and without TLS.
	DeliveryBytes uint64 `json:"delivery_bytes"`
	// Streams is how many streams were opened, and Resumes how many of them with a
	// last event ID.
	Streams uint64 `json:"streams"`
	Resumes uint64 `json:"resumes"`
	// Outcomes is what came of the requests for a stream with a last event ID, also of
	// those that are answered without one, since there is nothing to come.
	Outcomes ResumeCounters `json:"resume_outcomes"`
	// Pages is how many JSON pages were answered.
	Pages uint64 `json:"pages"`
	// Gaps is how many clients were told of a gap, by its reason.
	Gaps GapCounters `json:"gaps"`
	// WriteTimeouts is how many streams were cut because their client did not read.
	WriteTimeouts uint64 `json:"write_timeouts"`
	// Refusals is how many requests were refused by each of the Limits.
	Refusals RefusalCounters `json:"refusals"`
}

// ResumeCounters counts resumes by how they began.
type ResumeCounters struct {
	// Resumed went on after their id, and GapCounters began with a gap.
	Resumed uint64 `json:"resumed"`
	GapCounters
	// Finished had nothing more to get.
	Finished uint64 `json:"finished"`
	// Pending could not be told at once, since the ring was behind the id or the
	// history could not be asked.
	Pending uint64 `json:"pending"`
}

// RefusalCounters counts refusals by the limit that refused; see Limits.
type RefusalCounters struct {
	Streams            uint64 `json:"streams"`
	StreamsPerIdentity uint64 `json:"streams_per_identity"`
	StreamsPerAddress  uint64 `json:"streams_per_address"`
	ConnectRate        uint64 `json:"connect_rate"`
	PublishRate        uint64 `json:"publish_rate"`
	Subjects           uint64 `json:"subjects"`
	BodySize           uint64 `json:"body_size"`
}

// GapCounters counts gaps by their reason; see broker.GapReason.
type GapCounters struct {
	Expired uint64 `json:"expired"`
	Reset   uint64 `json:"reset"`
	Unknown uint64 `json:"unknown"`
}

// Counters returns what the gateway has counted.
func (s *Server) Counters() Counters {
	intake := s.opts.Hub.Intake()
	c := Counters{
		Events:        intake.Events,
		EventBytes:    intake.Bytes,
		Deliveries:    s.sent.events.Load(),
		DeliveryBytes: s.sent.bytes.Load(),
		Streams:       s.opened.streams.Load(),
		Resumes:       s.opened.resumes.Load(),
		Outcomes:      s.outcomes.counters(),
		Pages:         s.opened.pages.Load(),
		Gaps:          s.gaps.counters(),
		WriteTimeouts: s.cuts.timeouts.Load(),
		Refusals:      s.limits.refused.counters(),
	}
	for _, sh := range s.shards {
		c.Deliveries += sh.sent.events.Load()
		c.DeliveryBytes += sh.sent.bytes.Load()
	}
	return c
}

// sent counts what goes out, once for a write. Each shard has its own: on one for all,
// the cores would wait for each other's cache line at every write.
type sent struct {
	events, bytes atomic.Uint64
}

func (s *sent) add(events, bytes int) {
	if events > 0 {
		s.events.Add(uint64(events))
	}
	s.bytes.Add(uint64(bytes))
}

// opened counts the streams that were opened, and the pages.
type opened struct {
	streams, resumes, pages atomic.Uint64
}

func (o *opened) add(req streamRequest) {
	o.streams.Add(1)
	if req.LastEventID != "" {
		o.resumes.Add(1)
	}
}

// outcomes counts resumes by how they began.
type outcomes struct {
	gaps
	resumed, finished, pending atomic.Uint64
}

func (o *outcomes) counters() ResumeCounters {
	return ResumeCounters{
		Resumed:     o.resumed.Load(),
		GapCounters: o.gaps.counters(),
		Finished:    o.finished.Load(),
		Pending:     o.pending.Load(),
	}
}

// noteResume counts a request with a last event ID, by the first batch that it gets.
func (s *Server) noteResume(req streamRequest, batch broker.Batch) {
	switch {
	case req.LastEventID == "":
	case batch.Pending:
		s.outcomes.pending.Add(1)
	case batch.Gap != nil:
		s.outcomes.gaps.add(batch.Gap.Reason)
	case batch.Finished && len(batch.Events) == 0:
		s.outcomes.finished.Add(1)
	default:
		s.outcomes.resumed.Add(1)
		head := s.opts.Hub.Head().Seq
		s.opts.Resumed(head - min(head, batch.Start.Seq))
	}
}

// gaps counts the gaps that clients were told of.
type gaps struct {
	expired, reset, unknown atomic.Uint64
}

func (g *gaps) add(reason broker.GapReason) {
	switch reason {
	case broker.GapExpired:
		g.expired.Add(1)
	case broker.GapReset:
		g.reset.Add(1)
	case broker.GapUnknown:
		g.unknown.Add(1)
	}
}

func (g *gaps) counters() GapCounters {
	return GapCounters{Expired: g.expired.Load(), Reset: g.reset.Load(), Unknown: g.unknown.Load()}
}

// cuts counts the streams that were cut because of their client.
type cuts struct {
	timeouts atomic.Uint64
}

// errWriteTimeout: a client has not read for the write time-out.
var errWriteTimeout = errors.New("the write time-out is over")

// note looks at a write that took so long, and returns err, which is errWriteTimeout as
// well where it is that. What a write fails with at its deadline differs between the
// protocols; that of a stream that is cut short by a drain ends before.
func (c *cuts) note(err error, took, timeout time.Duration) error {
	if err == nil || took < timeout {
		return err
	}
	c.timeouts.Add(1)
	return fmt.Errorf("%w: %w", errWriteTimeout, err)
}
