package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ringcast/broker"
)

// memLog is the in-memory twin of the ring: the same contract, with a slice.
type memLog struct {
	mu      sync.Mutex
	floor   broker.ID
	events  []broker.Event
	corrupt bool // reads fail until the next Reset
}

var _ broker.Log = (*memLog)(nil)

func (l *memLog) head() broker.ID {
	if n := len(l.events); n > 0 {
		return l.events[n-1].ID
	}
	return l.floor
}

func (l *memLog) Append(events []broker.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corrupt {
		return broker.ErrCorrupt
	}
	if events[0].ID.Seq <= l.head().Seq {
		return fmt.Errorf("append %s at head %s", events[0].ID, l.head())
	}
	l.events = append(l.events, events...)
	return nil
}

func (l *memLog) Reset(at broker.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor, l.events, l.corrupt = at, nil, false
	return nil
}

// evict drops the events up to seq.
func (l *memLog) evict(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.events) > 0 && l.events[0].ID.Seq <= seq {
		l.floor, l.events = l.events[0].ID, slices.Clone(l.events[1:])
	}
}

func (l *memLog) Bounds() broker.Bounds {
	l.mu.Lock()
	defer l.mu.Unlock()
	return broker.Bounds{Floor: l.floor, Head: l.head()}
}

func (l *memLog) Read(after uint64, f broker.Filter, lim broker.Limits) (broker.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.corrupt:
		return broker.Page{}, broker.ErrCorrupt
	case after < l.floor.Seq:
		return broker.Page{}, broker.ErrEvicted
	case after >= l.head().Seq:
		p := broker.Page{Position: broker.ID{Seq: after, Stamp: broker.NoStamp}}
		if after == l.head().Seq {
			p.Position = l.head()
		}
		return p, nil
	}
	return readPage(l.events, after, l.head(), f, lim), nil
}

// readPage reads a page out of events, to be complete at end.
func readPage(events []broker.Event, after uint64, end broker.ID, f broker.Filter, lim broker.Limits) broker.Page {
	var p broker.Page
	bytes := 0
	for _, e := range events {
		if e.ID.Seq <= after || e.ID.Seq > end.Seq || !f.MatchesSubject(e.Subject) || !f.MatchesType(e.Type) {
			continue
		}
		if len(p.Events) == lim.Events || len(p.Events) > 0 && bytes+e.Size() > lim.Bytes {
			p.More, p.Position = true, p.Events[len(p.Events)-1].ID
			return p
		}
		bytes += e.Size()
		p.Events = append(p.Events, e)
	}
	p.Position = end
	return p
}

func (l *memLog) At(seq uint64) (broker.ID, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corrupt {
		return broker.ID{}, false, broker.ErrCorrupt
	}
	return idAt(l.events, seq)
}

func idAt(events []broker.Event, seq uint64) (broker.ID, bool, error) {
	for _, e := range events {
		if e.ID.Seq == seq {
			return e.ID, true, nil
		}
	}
	return broker.ID{}, false, nil
}

func (l *memLog) Seek(t time.Time) (broker.ID, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := seek(l.events, l.floor, t)
	return at, at != l.floor || l.floor.Seq == 0, nil
}

func seek(events []broker.Event, floor broker.ID, t time.Time) broker.ID {
	at := floor
	for _, e := range events {
		if !e.Time().Before(t) {
			break
		}
		at = e.ID
	}
	return at
}

func (l *memLog) Last(f broker.Filter) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lastSeqs(l.events, f)
}

func lastSeqs(events []broker.Event, f broker.Filter) []uint64 {
	last := map[string]uint64{}
	for _, e := range events {
		if f.MatchesSubject(e.Subject) {
			last[e.Subject] = e.ID.Seq
		}
	}
	var seqs []uint64
	for _, seq := range last {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

func (l *memLog) LastOf(subject string) (broker.ID, bool, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lastOf(l.events, subject)
}

func lastOf(events []broker.Event, subject string) (broker.ID, bool, bool) {
	for _, e := range slices.Backward(events) {
		if e.Subject == subject {
			return e.ID, e.End, true
		}
	}
	return broker.ID{}, false, false
}

func (l *memLog) Get(seqs []uint64, lim broker.Limits) ([]broker.Event, int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corrupt {
		return nil, 0, broker.ErrCorrupt
	}
	events, next := get(l.events, seqs, lim)
	return events, next, nil
}

func get(held []broker.Event, seqs []uint64, lim broker.Limits) (events []broker.Event, next int) {
	for _, seq := range seqs {
		if len(events) == lim.Events {
			break
		}
		next++
		for _, e := range held {
			if e.ID.Seq == seq {
				events = append(events, e)
			}
		}
	}
	return events, next
}

// memStream is the in-memory twin of the JetStream stream, as the history.
type memStream struct {
	mu     sync.Mutex
	floor  uint64         // everything up to here has left the stream
	events []broker.Event // all that were ever stored, in this stream's life
	away   bool           // cannot be asked
	asked  int            // calls that were answered or not
}

var _ broker.History = (*memStream)(nil)

var errAway = fmt.Errorf("no route to the stream: %w", broker.ErrUnavailable)

// ask counts a call and returns what the stream holds.
func (m *memStream) ask() ([]broker.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.away {
		return nil, errAway
	}
	return m.held(), nil
}

func (m *memStream) held() []broker.Event {
	i, _ := slices.BinarySearchFunc(m.events, m.floor+1, func(e broker.Event, seq uint64) int {
		return int(int64(e.ID.Seq) - int64(seq))
	})
	return m.events[i:]
}

func (m *memStream) head() broker.ID {
	if n := len(m.events); n > 0 {
		return m.events[n-1].ID
	}
	return broker.ID{}
}

func (m *memStream) floorID() broker.ID {
	if m.floor == 0 {
		return broker.ID{}
	}
	return broker.ID{Seq: m.floor, Stamp: broker.NoStamp}
}

func (m *memStream) Bounds(context.Context) (broker.Bounds, error) {
	if _, err := m.ask(); err != nil {
		return broker.Bounds{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return broker.Bounds{Floor: m.floorID(), Head: m.head()}, nil
}

func (m *memStream) Newest(context.Context) (broker.ID, error) {
	if _, err := m.ask(); err != nil {
		return broker.ID{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head(), nil
}

func (m *memStream) Read(_ context.Context, after, upTo uint64, f broker.Filter, lim broker.Limits) (broker.Page, broker.ID, error) {
	events, err := m.ask()
	if err != nil {
		return broker.Page{}, broker.ID{}, err
	}
	return readPage(events, after, broker.ID{Seq: upTo, Stamp: broker.NoStamp}, f, lim), m.floorID(), nil
}

func (m *memStream) At(_ context.Context, seq uint64) (broker.ID, bool, error) {
	events, err := m.ask()
	if err != nil {
		return broker.ID{}, false, err
	}
	return idAt(events, seq)
}

func (m *memStream) Seek(_ context.Context, t time.Time) (broker.ID, error) {
	events, err := m.ask()
	if err != nil {
		return broker.ID{}, err
	}
	return seek(events, m.floorID(), t), nil
}

func (m *memStream) Last(_ context.Context, f broker.Filter, upTo uint64, most int) ([]uint64, error) {
	events, err := m.ask()
	if err != nil {
		return nil, err
	}
	seqs := slices.DeleteFunc(lastSeqs(events, f), func(seq uint64) bool { return seq > upTo })
	if len(seqs) > most {
		return nil, broker.ErrTooMany
	}
	return seqs, nil
}

func (m *memStream) LastOf(_ context.Context, subject string) (broker.ID, bool, bool, error) {
	events, err := m.ask()
	if err != nil {
		return broker.ID{}, false, false, err
	}
	id, end, ok := lastOf(events, subject)
	return id, end, ok, nil
}

func (m *memStream) Get(_ context.Context, seqs []uint64, lim broker.Limits) ([]broker.Event, int, error) {
	events, err := m.ask()
	if err != nil {
		return nil, 0, err
	}
	got, next := get(events, seqs, lim)
	return got, next, nil
}

// world is a stream, a log and the hub between them, with a source that is the
// test itself.
type world struct {
	stream *memStream
	log    *memLog
	hub    *broker.Hub
	clock  int64
}

// newWorld has a tail of one event where opts says nothing, so that the log and the
// stream are what is read.
func newWorld(opts broker.HubOptions) *world {
	if opts.Tail.Events == 0 {
		opts.Tail.Events = 1
	}
	w := &world{stream: &memStream{}, log: &memLog{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()}
	w.hub = broker.NewHub(w.log, w.stream, opts)
	return w
}

// publish stores an event in the stream; the hub does not have it yet.
func (w *world) publish(subject string, change ...func(*broker.Event)) broker.ID {
	w.clock += int64(time.Second)
	e := broker.Event{
		ID:      broker.ID{Seq: w.stream.head().Seq + 1, Stamp: w.clock},
		Subject: subject,
		Data:    fmt.Appendf(nil, "%s@%d", subject, w.clock),
	}
	for _, c := range change {
		c(&e)
	}
	w.stream.events = append(w.stream.events, e)
	return e.ID
}

// deliver gives the hub up to most events that it lacks.
func (w *world) deliver(most int) {
	var batch []broker.Event
	for _, e := range w.stream.held() {
		if e.ID.Seq > w.hub.Head().Seq && len(batch) < most {
			batch = append(batch, e)
		}
	}
	w.hub.Upstream(w.stream.head())
	if err := w.hub.Append(batch); err != nil {
		panic(err)
	}
}

// say publishes and delivers one event.
func (w *world) say(subject string, change ...func(*broker.Event)) broker.ID {
	id := w.publish(subject, change...)
	w.deliver(1)
	return id
}

// rewind makes the stream forget what came after seq, and the source notice it.
func (w *world) rewind(seq uint64) {
	w.stream.events = slices.Clone(w.stream.events[:min(int(seq), len(w.stream.events))])
	if err := w.hub.Reset(broker.ID{Seq: w.stream.floor, Stamp: broker.NoStamp}); err != nil {
		panic(err)
	}
	w.deliver(len(w.stream.events))
}

func (w *world) subscribe(req broker.Request) *broker.Subscription {
	sub, err := w.hub.Subscribe(req)
	if err != nil {
		panic(err)
	}
	return sub
}

func filter(subjects ...string) broker.Filter {
	f, err := broker.NewFilter(subjects, nil)
	if err != nil {
		panic(err)
	}
	return f
}

// next reads as those do who must not wait: from memory, and else with Next.
func next(sub *broker.Subscription) (broker.Batch, error) {
	if batch, ok := sub.TryNext(); ok {
		return batch, nil
	}
	return sub.Next(context.Background())
}

// drain calls next until there is no more at once, and returns what came in all:
// the gaps, the events, and the last batch.
func drain(sub *broker.Subscription) (gaps []broker.Gap, events []*broker.Delivery, last broker.Batch, err error) {
	for range 100_000 {
		if last, err = next(sub); err != nil {
			return gaps, events, last, err
		}
		if last.Gap != nil {
			gaps = append(gaps, *last.Gap)
		}
		events = append(events, last.Events...)
		if !last.More {
			return gaps, events, last, nil
		}
	}
	return gaps, events, last, errors.New("More without end")
}

func ids(events []*broker.Delivery) []broker.ID {
	out := []broker.ID{}
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}
