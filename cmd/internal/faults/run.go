package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// The subjects that are published to steadily: rooms times seats. What only slow
// readers follow is published in bursts.
const (
	rooms, seats   = 8, 5
	steadySubjects = "events.room.>"
	burstSubjects  = 10
)

// run is one run of the harness.
type run struct {
	opt      Options
	rig      *rig
	ledger   *ledger
	tally    *tally
	gate     *gate
	subjects []string  // published to steadily
	begin    broker.ID // before all that is published
	clients  []*client
	visitors []*client // come and go
	node     *nodeProcess
	steady   []*publisher
	bursting []*publisher
	conns    []*nats.Conn // of publishers

	// visiting ends when visitors are to come and stay.
	visiting context.Context
	settle   context.CancelFunc

	stopPublishing, stopClients context.CancelFunc
	publishing, following       sync.WaitGroup
	bursts                      sync.WaitGroup
	visits                      atomic.Uint64

	mu         sync.Mutex // guards what follows; nothing blocks while it is held
	violations []violation
	omitted    uint64 // violations beyond those that are kept
	now        step   // the faults that are under way or just over
	publishErr error
}

// Run makes the faults and returns what came of them. An error means that the run
// itself failed; whether Ringcast did is in the report.
func Run(ctx context.Context, opt Options) (*Report, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	r := &run{opt: opt, ledger: newLedger(), tally: newTally(), gate: newGate()}
	began := time.Now()
	var err error
	if r.rig, err = newRig(ctx, opt); err != nil {
		return nil, fmt.Errorf("start the rig: %w", err)
	}
	report := newReport(opt, began)
	err = r.perform(ctx, report)
	err = errors.Join(err, r.stop(), r.rig.err(), r.rig.close())
	report.close(r)
	return report, err
}

func (r *run) perform(ctx context.Context, report *Report) error {
	if err := r.startLoad(ctx); err != nil {
		return err
	}
	took, ok := r.recover(ctx, time.Now())
	if !ok {
		return fmt.Errorf("the clients did not get everything before the first fault: %s", r.laggards())
	}
	r.opt.Log("all %d clients are level after %s", len(r.clients), took.Round(time.Millisecond))
	if err := r.makeFaults(ctx, report); err != nil {
		return err
	}
	return r.conclude(ctx, report)
}

// startLoad starts clients and publishers.
func (r *run) startLoad(ctx context.Context) error {
	if err := r.publishFirst(ctx); err != nil {
		return err
	}
	for room := range rooms {
		for seat := range seats {
			r.subjects = append(r.subjects, fmt.Sprintf("events.room.%c.%d", 'a'+room, seat))
		}
	}
	r.makeClients()
	if err := r.startClients(ctx); err != nil {
		return err
	}
	return r.startPublishers(ctx)
}

// publishFirst publishes one event, after whose id every client begins: one that is
// cut off before its first event, and has no id of its own yet, begins there again.
func (r *run) publishFirst(ctx context.Context) error {
	return ask(ctx, "publish the first event", func(ctx context.Context) error {
		ack, err := r.rig.js.Publish(ctx, "events.first", []byte("{}"))
		if err != nil {
			return err
		}
		stream, err := r.rig.js.Stream(ctx, streamName)
		if err != nil {
			return err
		}
		msg, err := stream.GetMsg(ctx, ack.Sequence)
		if err != nil {
			return err
		}
		r.begin = broker.ID{Seq: msg.Sequence, Stamp: msg.Time.UnixNano()}
		return nil
	})
}

// makeClients makes them all, of every library some of each kind of subscription.
func (r *run) makeClients() {
	for i := range r.opt.Clients {
		r.addClient(libraries[i%len(libraries)], subscription(i/len(libraries)), nil)
	}
	for range r.opt.SlowReaders {
		r.addClient(ringcastGo, url.Values{"subject": {"events.burst.>", "events.room.a.*"}}, r.gate)
	}
}

// subscription returns one of ten kinds, with other subjects each time.
func subscription(i int) url.Values {
	room, seat := string(rune('a'+i/10%rooms)), i/10%seats
	switch i % 10 {
	case 0, 1:
		return url.Values{"subject": {steadySubjects}}
	case 2, 3:
		return url.Values{"subject": {"events.room." + room + ".*"}}
	case 4:
		return url.Values{"subject": {fmt.Sprintf("events.room.*.%d", seat)}}
	case 5:
		return url.Values{"subject": {steadySubjects}, "conflate": {"200ms"}}
	case 6:
		return url.Values{"subject": {"events.room.b.0", "events.room.c.1", "events.room.d.*"}}
	}
	return url.Values{"subject": {fmt.Sprintf("events.room.%s.%d", room, (seat+i)%seats)}}
}

func (r *run) addClient(library string, query url.Values, g *gate) {
	r.clients = append(r.clients, r.newClient(fmt.Sprintf("%03d %s", len(r.clients), library), library, query, g))
}

func (r *run) newClient(name, library string, query url.Values, g *gate) *client {
	name += " " + query.Encode()
	filter, err := broker.NewFilter(query["subject"], nil)
	if err != nil {
		panic(err) // the subjects are this package's
	}
	var follows []string
	for _, s := range append(burstNames(), r.subjects...) {
		if filter.MatchesSubject(s) {
			follows = append(follows, s)
		}
	}
	query.Set("from", r.begin.String())
	r.tally.added(library)
	return &client{
		library: library, query: query, tally: r.tally, gate: g,
		checker: newChecker(name, follows, query.Has("conflate"), r.begin.Seq, r.ledger, r.violated),
	}
}

func burstNames() []string {
	names := make([]string, burstSubjects)
	for i := range names {
		names[i] = fmt.Sprintf("events.burst.%d", i)
	}
	return names
}

func (r *run) startClients(ctx context.Context) (err error) {
	ctx, r.stopClients = context.WithCancel(ctx)
	r.visiting, r.settle = context.WithCancel(ctx)
	var inNode []*client
	for _, c := range r.clients {
		if c.library == ringcastGo || c.library == goSSE {
			r.following.Go(func() { c.follow(ctx, r.rig.frontend) })
			continue
		}
		inNode = append(inNode, c)
	}
	r.addVisitors(ctx, r.opt.Visitors, r.opt.Stay, r.opt.Away)
	r.node, err = startNode(ctx, r.rig, inNode, r.tally)
	return err
}

// startPublishers starts one for each subject, every other over HTTP.
func (r *run) startPublishers(ctx context.Context) error {
	ctx, r.stopPublishing = context.WithCancel(ctx)
	conn, err := nats.Connect(r.rig.natsURLs(), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1))
	if err != nil {
		return fmt.Errorf("connect publishers: %w", err)
	}
	r.conns = append(r.conns, conn)
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	nats := overNATS(js)
	http := overHTTP(&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(r.subjects)}}, r.rig.frontend)
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	period := time.Duration(float64(len(r.subjects)) / r.opt.Rate * float64(time.Second))
	for i, subject := range r.subjects {
		p := &publisher{subject: subject, run: run, send: http, ledger: r.ledger, tell: r.tally.publishFailed, kick: make(chan struct{}, 1)}
		if i%2 == 0 {
			p.send = nats
		}
		r.steady = append(r.steady, p)
		r.publishing.Go(func() { r.notePublishing(p.publishSteadily(ctx, period)) })
	}
	for _, subject := range burstNames() {
		r.bursting = append(r.bursting, &publisher{subject: subject, run: run, send: nats, ledger: r.ledger, tell: r.tally.publishFailed})
	}
	return nil
}

func (r *run) notePublishing(err error) {
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.publishErr = err
	}
}

// A burst: so many events of so many bytes to each of its subjects.
const (
	burstEvents = 60
	burstSize   = 4 << 10
)

func (r *run) burst(ctx context.Context) {
	var publishing sync.WaitGroup
	for _, p := range r.bursting {
		publishing.Go(func() {
			for range burstEvents {
				if err := p.publish(ctx, burstSize); err != nil {
					return // the run is over
				}
			}
		})
	}
	publishing.Wait()
}

// makeFaults goes through the schedule.
func (r *run) makeFaults(ctx context.Context, report *Report) error {
	steps := schedule(r.opt)
	began := time.Now()
	for i, s := range steps {
		pause(ctx, time.Until(began.Add(r.opt.Duration*time.Duration(i)/time.Duration(len(steps)))))
		if err := errors.Join(ctx.Err(), r.rig.err()); err != nil {
			return err
		}
		if err := r.makeStep(ctx, s, report); err != nil {
			return err
		}
	}
	pause(ctx, time.Until(began.Add(r.opt.Duration)))
	return ctx.Err()
}

// makeStep makes the faults of a step, ends them, and waits until every client has
// recovered.
func (r *run) makeStep(ctx context.Context, s step, report *Report) error {
	r.mu.Lock()
	r.now = s
	r.mu.Unlock()
	at := time.Now()
	errs := make([]error, len(s))
	var making sync.WaitGroup
	var overMu sync.Mutex // guards over
	var over time.Time
	for i, f := range s {
		making.Go(func() {
			ended, err := r.makeFault(ctx, f)
			errs[i] = err
			overMu.Lock()
			defer overMu.Unlock()
			if ended.After(over) {
				over = ended
			}
		})
	}
	making.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took, ok := r.recover(ctx, over)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !ok {
		r.violated(violation{Kind: unhealed, At: time.Now(), Detail: fmt.Sprintf("%s after the faults: %s", recoverTimeout, r.laggards())})
	}
	for _, f := range s {
		report.add(f, s, at, took)
		r.opt.Log("%s for %s: recovered in %s", f, f.For, took.Round(time.Millisecond))
	}
	return nil
}

// makeFault makes one and returns when it was over: when what ends it began.
func (r *run) makeFault(ctx context.Context, f Fault) (over time.Time, err error) {
	pause(ctx, f.After)
	d := deeds[f.Kind]
	r.opt.Log("%s …", f)
	if err := d.begin(r, ctx, f); err != nil {
		return time.Now(), fmt.Errorf("make %s: %w", f, err)
	}
	pause(ctx, f.For)
	over = time.Now()
	if d.end != nil {
		if err := d.end(r, ctx, f); err != nil {
			return over, fmt.Errorf("end %s: %w", f, err)
		}
	}
	return over, nil
}

// recoverTimeout is how long after a fault clients may lack events.
const recoverTimeout = 90 * time.Second

// recover has every publisher publish, and waits until all were acknowledged and every
// client has what was then the newest event of its subjects. It returns how long after
// since that was.
func (r *run) recover(ctx context.Context, since time.Time) (time.Duration, bool) {
	r.bursts.Wait()
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	for _, p := range r.steady {
		select {
		case p.kick <- struct{}{}:
		default: // it was before
		}
	}
	var newest map[string]uint64
	err := poll(ctx, recoverTimeout, func() bool {
		if newest == nil {
			newest = r.newestSince(since)
		}
		return newest != nil && r.level(newest)
	})
	return time.Since(since), err == nil
}

// newestSince returns the sequence of each subject's newest event, nil while one has
// none that is later than since.
func (r *run) newestSince(since time.Time) map[string]uint64 {
	newest := make(map[string]uint64, len(r.subjects))
	for _, s := range r.subjects {
		seq, ok := r.ledger.newestSince(s, since)
		if !ok {
			return nil
		}
		newest[s] = seq
	}
	for _, s := range burstNames() {
		_, newest[s] = r.ledger.newest(s)
	}
	return newest
}

// level reports whether every client has been served up to there.
func (r *run) level(newest map[string]uint64) bool {
	for _, c := range r.clients {
		if !isLevel(c, newest) {
			return false
		}
	}
	return true
}

func isLevel(c *client, newest map[string]uint64) bool {
	at := c.checker.position()
	for _, s := range c.checker.follows {
		if newest[s] > at {
			return false
		}
	}
	return true
}

// newestOf returns the greatest sequence acknowledged on any of the subjects.
func (r *run) newestOf(subjects []string) (newest uint64) {
	for _, s := range subjects {
		_, seq := r.ledger.newest(s)
		newest = max(newest, seq)
	}
	return newest
}

// laggards names some clients that are not level.
func (r *run) laggards() string {
	newest := map[string]uint64{}
	for _, s := range append(burstNames(), r.subjects...) {
		_, newest[s] = r.ledger.newest(s)
	}
	text, n := "", 0
	for _, c := range r.clients {
		if !isLevel(c, newest) {
			if n++; n <= 5 {
				text += fmt.Sprintf("; %s is at %d", c.checker.name, c.checker.position())
			}
		}
	}
	return fmt.Sprintf("%d of %d clients lag%s", n, len(r.clients), text)
}

// conclude ends the publishing, lets the clients get the last of it, and judges what
// never came.
func (r *run) conclude(ctx context.Context, report *Report) error {
	r.stopPublishing()
	r.publishing.Wait()
	r.bursts.Wait()
	r.settle()
	r.clients = append(r.clients, r.visitors...)
	r.visitors = nil
	newest := map[string]uint64{}
	for _, s := range append(burstNames(), r.subjects...) {
		_, newest[s] = r.ledger.newest(s)
	}
	if err := poll(ctx, recoverTimeout, func() bool { return r.level(newest) }); err != nil {
		r.violated(violation{Kind: unhealed, At: time.Now(), Detail: fmt.Sprintf("%s after the end: %s", recoverTimeout, r.laggards())})
	}
	for _, c := range r.clients {
		c.checker.finish()
	}
	return r.auditStream(ctx, report)
}

// stop ends publishers and clients, also after a failure.
func (r *run) stop() error {
	if r.stopPublishing != nil {
		r.stopPublishing()
	}
	if r.stopClients != nil {
		r.stopClients()
	}
	var err error
	if r.node != nil {
		err = r.node.stop()
	}
	r.following.Wait()
	for _, conn := range r.conns {
		conn.Close() // ends what is being published
	}
	for _, c := range append(r.clients, r.visitors...) {
		r.tally.took(c.library, c.checker)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.publishErr)
}

// keptViolations bounds those that are reported one by one.
const keptViolations = 100

// violated notes a violation.
func (r *run) violated(v violation) {
	r.mu.Lock()
	for _, f := range r.now {
		v.Faults = append(v.Faults, f.String())
	}
	first := len(r.violations) == 0
	if len(r.violations) < keptViolations {
		r.violations = append(r.violations, v)
	} else {
		r.omitted++
	}
	r.mu.Unlock()
	if first || rand.IntN(50) == 0 {
		r.opt.Log("VIOLATION: %s: %s: %s", v.Kind, v.Client, v.Detail)
	}
}
