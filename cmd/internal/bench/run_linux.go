package bench

import (
	"context"
	"errors"
	"fmt"
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
		Skew:             m.Skew,
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
