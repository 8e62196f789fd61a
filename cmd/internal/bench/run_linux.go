package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// errStalled: nothing has arrived for as long as Options.Patience.
var errStalled = errors.New("nothing arrives any more")

// Run measures. It returns an error when it could not, wrapping ctx.Err() when ctx
// was done first; that events were lost is no error but in the result.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	p, err := newPool(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	m := &measurement{Options: o, pool: p}
	if m.before, err = m.usage(); err != nil {
		return nil, err
	}
	switch o.Scenario {
	case Resume:
		err = m.resume(ctx)
	case Return:
		err = m.comeBack(ctx)
	case Idle:
		err = m.idle(ctx)
	default:
		err = m.fanout(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", o.Scenario, err)
	}
	return m.result(), nil
}

// measurement is one run.
type measurement struct {
	Options
	pool *pool

	// before is the server's usage without clients; begin and end are snapshots at
	// the two ends of what is measured.
	before     usage
	begin, end snapshot
	published  []uint64 // events of each subject, at the end
	bookmark   string   // of a resume
}

type snapshot struct {
	server              usage
	own                 time.Duration
	at                  int64
	published, received uint64
	wire                uint64
}

func (m *measurement) usage() (usage, error) {
	if len(m.PIDs) == 0 {
		return usage{}, nil
	}
	return usageOf(m.PIDs)
}

func (m *measurement) snapshot(published uint64) (s snapshot, err error) {
	s = snapshot{at: now(), published: published, received: m.pool.received, wire: m.pool.wire, own: ownCPU()}
	s.server, err = m.usage()
	return s, err
}

// connectAtOnce is how many connections may be waiting for the head of their
// answer: fewer than an accept queue holds.
const connectAtOnce = 256

// connectAll opens every client's stream and waits until all are subscribed.
func (m *measurement) connectAll(ctx context.Context) error {
	already := m.pool.streaming
	for i := range m.Clients {
		if err := m.follow(i); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
		streaming := func() bool { return i+1-(m.pool.streaming-already) < connectAtOnce }
		if err := m.pool.pollUntil(ctx, m.Patience, streaming); err != nil {
			return fmt.Errorf("open stream: %w", err)
		}
	}
	streaming := func() bool { return m.pool.streaming-already == m.Clients }
	if err := m.pool.pollUntil(ctx, m.Patience, streaming); err != nil {
		return fmt.Errorf("open streams: %d of %d are open: %w", m.pool.streaming, m.Clients, err)
	}
	return nil
}

// follow opens the stream of a client, of its subject or of all.
func (m *measurement) follow(client int) error {
	subject, subjects, name := client%m.Subjects, 1, ""
	if m.Wildcard {
		subject, subjects, name = 0, m.Subjects, m.Prefix+".*"
	} else {
		name = m.subjectName(subject)
	}
	c, err := m.pool.connect(subject, subjects, 1)
	if err != nil {
		return err
	}
	return m.pool.ask(c, m.request(name, ""))
}

// greetAgain is how long a greeting is waited for before there is another.
const greetAgain = 200 * time.Millisecond

// greet publishes until every client has had something, where the server does not
// tell that a client is subscribed: nchan with several workers sends the head of its
// answer when a worker has taken the client on, not when that worker has been told
// of by the one that owns the subject. What came before then was not lost.
func (m *measurement) greet(ctx context.Context) error {
	if m.pool.primed || m.Clients == 0 {
		return nil
	}
	publisher, err := newPublisher(m.Options)
	if err != nil {
		return err
	}
	defer publisher.close()
	all := func() bool { return m.pool.greeted == m.Clients }
	for began := now(); !all(); {
		if time.Duration(now()-began) > m.Patience {
			return fmt.Errorf("%d of %d are: %w", m.pool.greeted, m.Clients, errStalled)
		}
		for subject := range m.Subjects {
			if err := publisher.publish(subject, []byte("hello")); err != nil {
				return err
			}
		}
		if err := publisher.flush(ctx); err != nil {
			return err
		}
		if err := m.pool.pollUntil(ctx, greetAgain, all); err != nil && !errors.Is(err, errStalled) {
			return err
		}
	}
	return nil
}

// fanout publishes for the warm-up and then the time that is measured, and waits
// until all is delivered.
func (m *measurement) fanout(ctx context.Context) error {
	if err := m.connectAll(ctx); err != nil {
		return err
	}
	if err := m.greet(ctx); err != nil {
		return fmt.Errorf("await that all are subscribed: %w", err)
	}
	feed, err := startFeed(m.Options, m.pool.run)
	if err != nil {
		return err
	}
	defer feed.stop()
	if err := m.publishFor(ctx, feed, m.Warmup); err != nil {
		return err
	}
	if m.begin, err = m.snapshot(feed.published.Load()); err != nil {
		return err
	}
	m.pool.latencyFrom = m.begin.at
	if err := m.publishFor(ctx, feed, m.Duration); err != nil {
		return err
	}
	if err := m.drain(ctx, feed); err != nil {
		return err
	}
	m.end, err = m.snapshot(feed.published.Load())
	m.end.at = max(m.pool.now, feed.endedAt)
	if m.pool.received > m.begin.received {
		m.end.at = m.pool.now
	}
	m.published = feed.perSubject()
	return err
}

// publishFor polls for a time, telling the feed how far the clients are.
func (m *measurement) publishFor(ctx context.Context, feed *feed, d time.Duration) error {
	for until := now() + int64(d); now() < until; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := feed.err(); err != nil {
			return err
		}
		if err := m.pool.poll(min(time.Duration(until-now()), 50*time.Millisecond)); err != nil {
			return err
		}
		feed.delivered(m.pool.received)
	}
	return nil
}

// drain ends the feed and waits for what is under way. What does not come is lost.
func (m *measurement) drain(ctx context.Context, feed *feed) error {
	feed.end()
	ended := func() bool {
		feed.delivered(m.pool.received)
		return feed.ended()
	}
	if err := m.pool.pollUntil(ctx, m.Patience, ended); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := feed.err(); err != nil {
		return err
	}
	all := feed.published.Load() * uint64(m.followers())
	arrived := func() bool { return m.pool.received >= all }
	if m.Conflate > 0 {
		arrived = m.upToDate(feed.perSubject())
	}
	err := m.pool.pollUntil(ctx, m.Patience, arrived)
	if errors.Is(err, errStalled) {
		return nil
	}
	return err
}

// upToDate returns a function that reports whether every client has the last event of
// each of its subjects. It goes on each time where it got to.
func (m *measurement) upToDate(published []uint64) func() bool {
	client, subject := 0, 0
	return func() bool {
		for ; client < len(m.pool.clients); client, subject = client+1, 0 {
			c := &m.pool.clients[client]
			for ; subject < len(c.tallies); subject++ {
				if c.tallies[subject].outdated(published[int(c.first)+subject]) {
					return false
				}
			}
		}
		return true
	}
}

// resume publishes while one client, the probe, follows, and has all clients come
// back after the first event's id, which the probe has learned.
func (m *measurement) resume(ctx context.Context) error {
	id, err := m.publishBacklog(ctx)
	if err != nil {
		return err
	}
	m.bookmark = bookmark(m.pool.run, id)
	clients := make([]*client, m.Clients)
	for i := range clients {
		if clients[i], err = m.pool.connect(0, 1, 2); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	if m.begin, err = m.snapshot(0); err != nil {
		return err
	}
	request := m.request(m.subjectName(0), id)
	for i, c := range clients {
		if err := m.pool.ask(c, request); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	all := m.begin.received + uint64(m.Clients)*uint64(m.Events)
	err = m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= all })
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	m.end, err = m.snapshot(uint64(m.Events))
	m.end.at = max(m.pool.now, m.begin.at)
	return err
}

// publishBacklog publishes one event, whose id it returns, and those to resume.
func (m *measurement) publishBacklog(ctx context.Context) (id string, err error) {
	probe, err := m.pool.connect(0, 1, 1)
	if err != nil {
		return "", err
	}
	probe.stream.keepID = true
	if err := m.pool.ask(probe, m.request(m.subjectName(0), "")); err != nil {
		return "", err
	}
	if err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.streaming == 1 }); err != nil {
		return "", fmt.Errorf("open stream: %w", err)
	}
	if err := m.publishTo(ctx, 1, 1); err != nil {
		return "", err
	}
	id = string(probe.stream.lastID)
	if id == "" {
		return "", errors.New("the server sends no ids: there is nothing to resume from")
	}
	last := uint64(m.Events) + 1
	if err := m.publishTo(ctx, 2, last-1); err != nil {
		return "", err
	}
	if err := m.publishBetween(ctx); err != nil {
		return "", err
	}
	// The server has taken in all that came before once the probe has the last one.
	if err := m.publishTo(ctx, last, last); err != nil {
		return "", err
	}
	m.published = []uint64{last}
	return id, nil
}

// publishBetween publishes what nobody follows.
func (m *measurement) publishBetween(ctx context.Context) error {
	o := m.Options
	o.Prefix += ".between"
	publisher, err := newPublisher(o)
	if err != nil {
		return err
	}
	defer publisher.close()
	for place := 1; place <= m.Backlog; place++ {
		if err := publisher.publish(0, m.payload(stamp{run: m.pool.run, place: uint64(place), due: now()})); err != nil {
			return fmt.Errorf("publish the backlog: %w", err)
		}
	}
	if err := publisher.flush(ctx); err != nil {
		return fmt.Errorf("publish the backlog: %w", err)
	}
	return nil
}

// publishTo publishes the events first to last of the only subject and waits until
// the probe has them.
func (m *measurement) publishTo(ctx context.Context, first, last uint64) error {
	publisher, err := newPublisher(m.Options)
	if err != nil {
		return err
	}
	defer publisher.close()
	for place := first; place <= last; place++ {
		if err := publisher.publish(0, m.payload(stamp{run: m.pool.run, place: place, due: now()})); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	if err := publisher.flush(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= last }); err != nil {
		return fmt.Errorf("follow what is to be resumed: %w", err)
	}
	return nil
}

// comeBack has one client after the other come back to the bookmark and get what
// followed it.
func (m *measurement) comeBack(ctx context.Context) (err error) {
	run, id, err := parseBookmark(m.Bookmark)
	if err != nil {
		return err
	}
	m.pool.run = run
	m.pool.latencyFrom = math.MaxInt64 // what is due came from another process's clock
	if m.begin, err = m.snapshot(0); err != nil {
		return err
	}
	for i := range m.Clients {
		if err := m.comeBackOnce(ctx, m.request(m.subjectName(0), id)); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	m.published = []uint64{uint64(m.Events) + 1}
	m.end, err = m.snapshot(uint64(m.Events))
	return err
}

func (m *measurement) comeBackOnce(ctx context.Context, request []byte) error {
	had, began := m.pool.received, now()
	c, err := m.pool.connect(0, 1, 2)
	if err != nil {
		return err
	}
	if err := m.pool.ask(c, request); err != nil {
		return err
	}
	for _, want := range []uint64{1, uint64(m.Events)} {
		err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= had+want })
		if errors.Is(err, errStalled) { // what has not come is lost
			break
		}
		if err != nil {
			return err
		}
		if want == 1 {
			m.pool.latency.record(m.pool.now - began)
		}
	}
	return m.pool.drop(c)
}

// idle opens the streams and leaves them alone.
func (m *measurement) idle(ctx context.Context) (err error) {
	if err := m.connectAll(ctx); err != nil {
		return err
	}
	if m.begin, err = m.snapshot(0); err != nil {
		return err
	}
	for until := now() + int64(m.Duration); now() < until; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.pool.poll(min(time.Duration(until-now()), 50*time.Millisecond)); err != nil {
			return err
		}
	}
	m.published = make([]uint64, m.Subjects)
	m.end, err = m.snapshot(0)
	return err
}

func (m *measurement) result() *Result {
	took := time.Duration(m.end.at - m.begin.at)
	r := &Result{
		Scenario:         m.Scenario,
		Target:           m.Target,
		Clients:          m.Clients,
		Subjects:         m.Subjects,
		Seconds:          took.Seconds(),
		Published:        m.end.published - m.begin.published,
		Deliveries:       m.end.received - m.begin.received,
		WireBytes:        m.end.wire - m.begin.wire,
		Wildcard:         m.Wildcard,
		Gzip:             m.Gzip,
		Bookmark:         m.bookmark,
		Strayed:          m.pool.strayed,
		Gaps:             m.pool.gaps,
		Closed:           m.pool.closed,
		ClientCPUSeconds: (m.end.own - m.begin.own).Seconds(),
	}
	r.PublishedPerSecond, r.DeliveriesPerSecond = perSecond(r.Published, took), perSecond(r.Deliveries, took)
	if r.Deliveries > 0 {
		r.WireBytesPerDelivery = float64(r.WireBytes) / float64(r.Deliveries)
	}
	for i := range m.pool.clients {
		r.add(&m.pool.clients[i], m.published)
	}
	if m.publishes() {
		r.Publish, r.Size, r.Payload = m.Publish, m.Size, m.Payload
	}
	if m.Scenario != Resume {
		r.Latency = newLatency(&m.pool.latency)
	}
	if m.Scenario == Fanout {
		r.Rate = m.Rate
	}
	if m.Conflate > 0 {
		r.Conflate = m.Conflate.String()
	}
	if len(m.PIDs) > 0 {
		r.Server = newServer(m.before, m.begin.server, m.end.server, r.Deliveries, m.Clients)
	}
	return r
}

// add adds what went wrong at a client.
func (r *Result) add(c *client, published []uint64) {
	r.Disordered += c.fallen
	before := r.Lost
	for i := range c.tallies {
		r.addTally(&c.tallies[i], published[int(c.first)+i], c.pool.Conflate > 0)
	}
	if r.Lost > before {
		r.LostBy++
	}
}

func (r *Result) addTally(t *tally, last uint64, conflated bool) {
	r.Repeated += t.repeated
	r.Disordered += t.disordered
	lost := t.lost(last)
	if conflated && !t.outdated(last) {
		r.Conflated += lost
		return
	}
	if conflated {
		lost = 1 // how many of the others conflation has spared, nobody knows
	}
	r.Lost += lost
	if from := t.lostFrom(); lost > 0 && (r.LostFrom == 0 || from < r.LostFrom) {
		r.LostFrom = from
	}
}
