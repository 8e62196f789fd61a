//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

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
	retained bool      // the stream reaches its limits
	clients  []*client
	visitors []*client // come and go
	node     *nodeProcess
	steady   []*publisher
	bursting []*publisher
	burst    func() // publishes once to each of bursting, and all of it

	publisherConn *nats.Conn // of those that publish over NATS

	// visiting ends when visitors are to come and stay.
	visiting context.Context
	settle   context.CancelFunc

	stopPublishing        func()             // what is under way is brought to its end
	abandon               context.CancelFunc // it is not
	stopClients           context.CancelFunc
	publishing, following sync.WaitGroup
	bursts                sync.WaitGroup
	visits                atomic.Uint64

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
	r.nameSubjects()
	r.makeClients()
	if err := r.startClients(ctx); err != nil {
		return err
	}
	return r.startPublishers(ctx)
}

func (r *run) nameSubjects() {
	for room := range rooms {
		for seat := range seats {
			r.subjects = append(r.subjects, fmt.Sprintf("events.room.%c.%d", 'a'+room, seat))
		}
	}
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
	if r.abandon != nil {
		r.stopPublishing()
		r.abandon()
		r.publishing.Wait()
		r.bursts.Wait()
		r.publisherConn.Close()
	}
	if r.stopClients != nil {
		r.stopClients()
	}
	if r.node != nil {
		r.node.stop()
	}
	r.following.Wait()
	for _, c := range append(r.clients, r.visitors...) {
		r.tally.took(c.library, c.checker)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.publishErr
}

// Violations that are reported one by one, and those that are logged at once.
const (
	keptViolations   = 100
	loggedViolations = 10
)

// violated notes a violation.
func (r *run) violated(v violation) {
	r.mu.Lock()
	for _, f := range r.now {
		v.Faults = append(v.Faults, f.String())
	}
	n := len(r.violations)
	if n < keptViolations {
		r.violations = append(r.violations, v)
	} else {
		r.omitted++
	}
	r.mu.Unlock()
	if n < loggedViolations {
		r.opt.Log("VIOLATION: %s: %s: %s", v.Kind, v.Client, v.Detail)
	}
}
