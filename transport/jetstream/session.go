package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/tracing"
)

const (
	pullExpiry = 10 * time.Second
	// The library notices a missing heartbeat after twice this time.
	pullHeartbeat = 2 * time.Second
	// A pull request asks for so many batches. With one of 4,096 events, half of
	// which are taken before the next request is made, the server ran out of requests
	// under load: a reader that was to follow 110,000 events a second fell behind for
	// good, 0.3 s and more, where with four it stays 0.05 s behind.
	pullBatches       = 4
	inactiveThreshold = time.Minute
	// What a message has besides payload and headers: subject, reply, framing.
	pullOverhead = 64 << 10

	// A stream is believed to be rewound only when it says so as often as this:
	// a new leader may answer before it has applied the end of its log.
	rewindConfirmations = 3
	rewindInterval      = 300 * time.Millisecond
	// How long a stream is missing, at least, before it is made again.
	missingWait = time.Second
	// A consumer is given up when the stream had more for it this often in a row.
	maxStuck = 2
)

// Why a session ends.
var (
	// errStartOver: the sink was reset, and the next session begins there.
	errStartOver = errors.New("starting over")
	errLost      = errors.New("a message was lost between the server and here")
	errDisorder  = errors.New("the consumer went backwards")
	errReplaced  = errors.New("the stream was made again or restored")
	errRewound   = errors.New("the stream ends before what was read from it")
	errStuck     = errors.New("the stream holds events that the consumer does not deliver")
)

// session is one consumer's life. It belongs to one goroutine, except position.
type session struct {
	r    *Reader
	sink broker.Sink
	in   *inbox
	errs chan error // from nats.go's goroutines; only the first is of interest

	created  time.Time // the stream's, to see it made again
	head     broker.ID // the newest event given to the sink
	verified bool      // head was compared with the stream, or there is nothing to compare
	nextCons uint64    // the consumer sequence expected next
	goal     uint64    // the stream's last sequence at the start
	position atomic.Uint64
	progress bool

	looked uint64 // the stream's end at the last audit, with a filter

	// held: what comes waits until the stream, a mirror, was compared with its origin, of
	// which originLast is the newest sequence that is known.
	held       bool
	originLast uint64

	// For audits: where the last one found the session, up to where the stream
	// is known to hold nothing more, and how often it had more without delivering.
	auditedAt, tail uint64
	stuck           int
}

// session reads from the sink's head until something is wrong. progress reports
// whether it got as far as reading.
func (r *Reader) session(ctx context.Context, sink broker.Sink) (progress bool, err error) {
	// Before anything is asked: no interruption goes unseen, however short.
	ctx, cancel := r.c.whileConnected(ctx)
	defer cancel()
	s := &session{
		r:    r,
		sink: sink,
		in:   newInbox(r.opt.BatchEvents, r.opt.BatchBytes, ctx.Done()),
		errs: make(chan error, 1),
	}
	if err = s.read(ctx, cancel); disconnected(ctx, err) {
		err = ErrDisconnected
	}
	return s.progress, err
}

// read is the session from its beginning to its end. end makes whoever works
// for it stop waiting.
func (s *session) read(ctx context.Context, end context.CancelFunc) error {
	if !s.r.c.nc.IsConnected() {
		return ErrDisconnected
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	consumer, err := s.createConsumer(ctx)
	if err != nil {
		return err
	}
	defer s.deleteConsumer(consumer)
	if err := s.verifyHead(ctx); err != nil {
		return err
	}
	consuming, err := s.consume(consumer)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer consuming.Stop() // from here, never from the error handler: that deadlocks
	defer end()            // before Stop: lets a waiting handler go

	audits := make(chan audit)
	go s.r.audit(ctx, &s.position, consumer, audits)
	return s.loop(ctx, audits)
}

func (s *session) loop(ctx context.Context, audits <-chan audit) error {
	var pause <-chan time.Time
	for {
		ready := s.in.ready
		if pause != nil || s.held {
			ready = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err = <-s.errs:
		case <-ready:
			err = s.handle(ctx, s.in.take())
			if s.r.filtered() {
				pause = time.After(filterPause)
			}
		case <-pause:
			pause = nil
		case a := <-audits:
			err = s.check(ctx, a)
		}
		if err != nil {
			return err
		}
	}
}

// begin compares the sink's head with the stream's state and leaves s.head at
// where to go on, having reset the sink where its content is of no use any more.
func (s *session) begin(ctx context.Context) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	if err := s.compare(ctx, info); err != nil {
		return err
	}
	s.created, s.goal = info.Created, info.State.LastSeq
	if !cutOff(info) { // else it would have to wait for who knows how long
		s.goal = newestOf(info).Seq
	}
	s.head = s.sink.Head()
	last := headOf(info.State)

	switch {
	case last.Seq < s.head.Seq:
		if info, err = s.confirmRewound(ctx); err != nil {
			return err
		}
		err = s.reset(ctx, info, "the stream ends before what was read from it: it was replaced or rewound")
	case last.Seq == s.head.Seq && !last.Same(s.head):
		err = s.reset(ctx, info, "the stream's last event is another one: it was replaced or rewound")
	case s.r.opt.RingEvents > 0 && last.Seq-s.head.Seq > s.r.opt.RingEvents:
		err = s.skip(ctx, info)
	case floorOf(info.State).Seq > s.head.Seq:
		err = s.overtaken(info)
	}
	if err != nil && !errors.Is(err, errStartOver) {
		return err
	}
	s.head = s.sink.Head()
	s.position.Store(s.head.Seq)
	s.observe(info, nil)
	return nil
}

// info asks for the stream's state; where there is no stream, it gives the
// caller of the reader the chance to make one.
func (s *session) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := s.r.c.streamInfo(ctx, s.r.opt.Stream)
	if !errors.Is(err, ErrStreamMissing) || s.r.opt.Missing == nil {
		return info, err
	}
	// Making it while the server still removes the old one's files was seen to leave
	// a stream that stores nothing; and somebody may be about to restore it.
	timer := time.NewTimer(missingWait + rand.N(missingWait))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if info, err = s.r.c.streamInfo(ctx, s.r.opt.Stream); !errors.Is(err, ErrStreamMissing) {
		return info, err
	}
	if err := s.r.opt.Missing(ctx); err != nil {
		return nil, err
	}
	return s.r.c.streamInfo(ctx, s.r.opt.Stream)
}

// confirmRewound asks again before the sink is emptied on the word of one answer.
func (s *session) confirmRewound(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	for range rewindConfirmations - 1 {
		timer := time.NewTimer(rewindInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		if info, err = s.info(ctx); err != nil {
			return nil, err
		}
		if info.State.LastSeq >= s.head.Seq {
			return nil, errStartOver // it was not: look again
		}
	}
	return info, nil
}

// createConsumer makes the consumer that starts at the head itself, where the
// head can be verified: the first message must be that very event. Without a filter it
// reads the whole stream, so that sequences have no holes but those of the stream.
func (s *session) createConsumer(ctx context.Context) (jetstream.Consumer, error) {
	start := s.head.Seq + 1
	if s.head.Seq > 0 && s.head.Stamp != broker.NoStamp && !s.r.filtered() {
		start = s.head.Seq
	}
	s.verified = s.head.Seq == 0
	s.nextCons = 1
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := s.r.c.js.CreateConsumer(ctx, s.r.opt.Stream, jetstream.ConsumerConfig{
		Description:       "ringcast ring",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       start,
		FilterSubjects:    s.r.opt.Filter,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveThreshold,
	})
	if err != nil {
		return nil, fmt.Errorf("create consumer: %w", err)
	}
	return consumer, nil
}

// deleteConsumer spares the server a consumer that nobody reads; where it cannot
// be asked now, it forgets it after inactiveThreshold.
func (s *session) deleteConsumer(consumer jetstream.Consumer) {
	if !s.r.c.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.r.c.js.DeleteConsumer(ctx, s.r.opt.Stream, consumer.CachedInfo().Name)
}

// consume starts the flow. A pull request is bounded in bytes as well as in
// messages; the bound has to let the largest message pass, or none would come.
//
// The request stands, and the server sends what is stored at once: how much comes
// at a time grows with the load by itself. Tried and left out, measured with 5,000
// subjects at 1,000 events a second and with one as fast as it goes: requests that
// end when the consumer has no more, with a pause of 2, 5 or 10 ms before the next
// one (as much processor time in all, for each request costs the server as much as
// the messages that it gathers, and five times the latency); taking messages from a
// channel without nats.go's dispatcher (no difference); a connection inside the
// process (9/10 of the processor time where events come one by one, 5/4 as fast as
// it goes).
func (s *session) consume(consumer jetstream.Consumer) (jetstream.ConsumeContext, error) {
	bytes := s.r.opt.BatchBytes + int(s.r.c.nc.MaxPayload()) + pullOverhead
	return consumer.Consume(s.receive,
		jetstream.PullMaxMessagesWithBytesLimit(pullBatches*s.r.opt.BatchEvents, bytes),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { s.fail(err) }),
	)
}

// receive runs in nats.go's goroutine.
func (s *session) receive(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		s.fail(fmt.Errorf("read message metadata: %w", err))
		return
	}
	id := broker.ID{Seq: meta.Sequence.Stream, Stamp: meta.Timestamp.UnixNano()}
	e, typeErr := newEvent(id, msg.Subject(), msg.Headers(), msg.Data())
	if typeErr != nil {
		s.r.invalidType(e.Subject, typeErr)
	}
	s.in.put(e, meta.Sequence.Consumer, s.r.opt.Tracing.Origin(id, e.Subject, msg.Headers()))
}

// fail ends the session with err, unless it is about to end already.
func (s *session) fail(err error) {
	select {
	case s.errs <- fmt.Errorf("consume: %w", err):
	default:
	}
}

// handle gives what has arrived to the sink, as far as it is what the sink must
// get next.
func (s *session) handle(ctx context.Context, b batch) error {
	events, err := s.dense(b)
	if err != nil && len(events) == 0 {
		return err
	}
	if !s.verified && len(events) > 0 {
		if events, err = s.verify(ctx, events, err); err != nil && len(events) == 0 {
			return err
		}
	}
	events, holeErr := s.holes(ctx, events)
	if holeErr != nil {
		return holeErr
	}
	if appendErr := s.append(ctx, events, b.origins); appendErr != nil {
		return appendErr
	}
	return err
}

// dense returns the events up to the first that was lost on the way (AckNone:
// the server sends nothing twice), and errLost where there is one.
func (s *session) dense(b batch) ([]broker.Event, error) {
	for i, n := range b.consumerSeqs {
		if n != s.nextCons {
			return b.events[:i], fmt.Errorf("%w: consumer sequence %d, want %d", errLost, n, s.nextCons)
		}
		s.nextCons++
	}
	return b.events, nil
}

// verify compares the first event of a session with the sink's head. prior is
// what is already known to be wrong after the events.
func (s *session) verify(ctx context.Context, events []broker.Event, prior error) ([]broker.Event, error) {
	first := events[0].ID
	switch {
	case first.Seq > s.head.Seq && (s.head.Stamp == broker.NoStamp || first.Stamp >= s.head.Stamp):
		// The head itself is gone; whether retention took more than it, holes
		// finds out. Stamps never run backwards within a stream, save for a clock
		// that was set back; being told of a reset in vain is the lesser evil.
		s.verified = true
		return events, prior
	case first == s.head:
		s.verified = true
		return events[1:], prior
	}
	return nil, s.mismatch(ctx, first)
}

func (s *session) mismatch(ctx context.Context, found broker.ID) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	return s.reset(ctx, info, fmt.Sprintf("the stream holds %s where %s was read: it was replaced or rewound", found, s.head))
}

// holes asks, where sequences are missing before or between the events, whether
// retention took them before they were read, of which subscribers have to be
// told. Where it did not, they were deleted one by one or do not match, and are nobody's
// loss. It returns the events that are left.
func (s *session) holes(ctx context.Context, events []broker.Event) ([]broker.Event, error) {
	missing := uint64(0)
	prev := s.head.Seq
	for i := range events {
		switch seq := events[i].ID.Seq; {
		case seq <= prev:
			return nil, fmt.Errorf("%w: %d after %d", errDisorder, seq, prev)
		case seq > prev+1 && missing == 0:
			missing = prev + 1
		}
		prev = events[i].ID.Seq
	}
	if missing == 0 {
		return events, nil
	}
	info, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	floor := floorOf(info.State)
	if floor.Seq < missing {
		return events, nil
	}
	err = s.overtaken(info)
	if !s.r.filtered() || !errors.Is(err, errStartOver) {
		return nil, err
	}
	// After the floor nothing was missing when these events were here. To start over
	// would take the way to the first one that matches again, on which retention may be
	// as fast again.
	s.head = s.sink.Head()
	s.position.Store(s.head.Seq)
	return slices.DeleteFunc(events, func(e broker.Event) bool { return e.ID.Seq <= floor.Seq }), nil
}

func (s *session) append(ctx context.Context, events []broker.Event, origins []*tracing.Origin) error {
	if len(events) > 0 {
		spans := s.r.opt.Tracing.StartIngest(origins, events)
		err := s.sink.Append(events)
		spans.End(err)
		if errors.Is(err, broker.ErrCorrupt) {
			return s.corrupt(ctx, err)
		}
		if err != nil {
			return fmt.Errorf("append to sink: %w", err)
		}
		s.head = events[len(events)-1].ID
		s.position.Store(s.head.Seq)
		s.progress = true
	}
	s.r.update(func(st *ReaderStatus) {
		st.Problem = ""
		st.Position = s.head.Seq
		st.LastSeq = max(st.LastSeq, s.head.Seq)
		if !s.r.filtered() { // else audits tell
			st.Lag = st.LastSeq - max(s.head.Seq, min(s.tail, st.LastSeq))
		}
		st.CaughtUp = st.CaughtUp || s.head.Seq >= s.goal
	})
	return nil
}

// corrupt drops what the sink holds and lets the next session fill it again.
func (s *session) corrupt(ctx context.Context, cause error) error {
	info, err := s.info(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	return s.reset(ctx, info, "the ring is corrupt: "+cause.Error())
}

// reset empties the sink: what it holds is not what the stream holds.
func (s *session) reset(ctx context.Context, info *jetstream.StreamInfo, reason string) error {
	at := s.origin(ctx, info.State)
	s.r.log.Warn("starting over: "+reason, "head", s.head.String(), "at", at.String(), "last", info.State.LastSeq)
	s.r.update(func(st *ReaderStatus) { st.Resets++ })
	return s.startAt(at)
}

// skip empties the sink because less than it can hold is to come after what
// it would have to evict. A sink that never held anything only gets its floor.
func (s *session) skip(ctx context.Context, info *jetstream.StreamInfo) error {
	at := s.origin(ctx, info.State)
	if s.head.Seq > 0 {
		s.r.log.Info("skipping what the ring could not keep: the stream has it", "head", s.head.String(), "at", at.String())
		s.r.update(func(st *ReaderStatus) { st.Skipped++ })
	}
	return s.startAt(at)
}

// overtaken empties the sink because retention removed events that it never got.
// A sink that never held anything misses none of them.
func (s *session) overtaken(info *jetstream.StreamInfo) error {
	at := floorOf(info.State)
	if s.head.Seq > 0 {
		s.r.log.Warn("retention removed events before they were read", "head", s.head.String(), "oldest", info.State.FirstSeq)
		s.r.update(func(st *ReaderStatus) { st.Overtaken++ })
	}
	return s.startAt(at)
}

func (s *session) startAt(at broker.ID) error {
	if err := s.sink.Reset(at); err != nil {
		return fmt.Errorf("reset sink: %w", err)
	}
	return errStartOver
}

// origin returns where an empty sink begins: before the oldest event that it has
// room for. The stamp is exact where the event before is still there to tell.
func (s *session) origin(ctx context.Context, state jetstream.StreamState) broker.ID {
	floor := floorOf(state)
	room := s.r.opt.RingEvents
	if room == 0 || state.LastSeq-floor.Seq <= room {
		return floor
	}
	at := before(state.LastSeq - room + 1)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if e, ok, err := s.r.c.getMsg(ctx, s.r.opt.Stream, msgGetRequest{Seq: at.Seq}); err == nil && ok {
		return e.ID
	}
	return at
}
