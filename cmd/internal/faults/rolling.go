//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// rollingFlags have the gateways tell clients to wait as they do by default, and not write
// a line for each of them.
var rollingFlags = []string{"--retry", "2s", "--log-level", "info"}

// arrivals is how many clients a second come in the beginning.
const arrivals = 1000

// RollingReport is what came of a rolling restart.
type RollingReport struct {
	*Report
	Pause    time.Duration `json:"pause"` // between two gateways
	Seconds  []Second      `json:"seconds"`
	Restarts []Restart     `json:"restarts"`
	// SentBack is how often HAProxy itself told a client to come back later, Failures how
	// often there was no answer, and Refused how often there was one that ends a browser's
	// EventSource for good.
	SentBack uint64 `json:"sent_back"`
	Failures uint64 `json:"failures"`
	Refused  uint64 `json:"refused"`
	// Away is how long clients were without a stream, each time: the median, p99 and most.
	Away [3]time.Duration `json:"away"`
}

// Restart is one of a gateway.
type Restart struct {
	Gateway int `json:"gateway"`
	// Streams is how many it had.
	Streams int `json:"streams"`
	// When it was told to stop, had ended, and was ready again.
	Told  time.Duration `json:"told"`
	Ended time.Duration `json:"ended"`
	Ready time.Duration `json:"ready"`
}

// drain is how long it took to stop.
func (r Restart) drain() time.Duration { return r.Ended - r.Told }

// Second is what happened in one, and how much of a core each part of it took. Where this
// process had to wait for a processor it is longer.
type Second struct {
	At         time.Duration  `json:"at"`   // its end, from the beginning of the load
	Took       time.Duration  `json:"took"` // its length
	Reconnects uint64         `json:"reconnects"`
	Cuts       uint64         `json:"cuts"`
	Failures   uint64         `json:"failures"`
	SentBack   uint64         `json:"sent_back"`
	Refused    uint64         `json:"refused"`
	Events     uint64         `json:"events"`
	Connected  int64          `json:"connected"` // clients that have a stream
	Streams    [nodes]int     `json:"streams"`
	Gateways   [nodes]float64 `json:"gateways"`
	HAProxy    float64        `json:"haproxy"`
	NATS       float64        `json:"nats"`
	Clients    float64        `json:"clients"` // this process: they, the publishers and links
}

// each returns how many of a count that was. Of one that is short, after a long one, it is
// the count itself.
func (s Second) each(count uint64) float64 { return float64(count) / max(1, s.Took.Seconds()) }

// all is what the gateways took together.
func (s Second) all() (sum float64) {
	for _, v := range s.Gateways {
		sum += v
	}
	return sum
}

// Rolling restarts the gateways one after the other under clients that do as browsers do,
// with a pause between, and looks at every second of it; also at as many as the options'
// duration has before the first restart, and after the last client is back.
func Rolling(ctx context.Context, opt Options, between time.Duration) (*RollingReport, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	opt.Faults, opt.SlowReaders, opt.Visitors, opt.Storm, opt.SmallDisk, opt.Stepped = 0, 0, 0, 1, false, ""
	opt.Direct = true
	opt.GatewayFlags = append(rollingFlags[:len(rollingFlags):len(rollingFlags)], opt.GatewayFlags...)
	r := &run{opt: opt, ledger: newLedger(), tally: newTally(), gate: newGate()}
	report := &RollingReport{Report: newReport(opt, time.Now()), Pause: between}
	var err error
	if r.rig, err = newRig(ctx, opt); err != nil {
		return nil, fmt.Errorf("start the rig: %w", err)
	}
	t := &traffic{}
	err = r.roll(ctx, t, report)
	err = errors.Join(err, r.stop(), r.rig.err(), r.rig.close())
	report.close(r)
	report.take(t)
	return report, err
}

func (r *run) roll(ctx context.Context, t *traffic, report *RollingReport) error {
	if err := r.startBrowsers(ctx, t); err != nil {
		return err
	}
	if _, ok := r.recover(ctx, time.Now()); !ok {
		return fmt.Errorf("the clients did not get everything before the first restart: %s", r.laggards())
	}
	w := &watch{run: r, traffic: t, began: time.Now(), used: map[int]time.Duration{}}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	watched := make(chan []Second, 1)
	go func() { watched <- w.everySecond(watching) }()
	err := r.restartAll(ctx, w, report)
	unwatch()
	report.Seconds = <-watched
	if err != nil {
		return err
	}
	return r.conclude(ctx, report.Report)
}

// startBrowsers starts clients and publishers. Each client follows one subject.
func (r *run) startBrowsers(ctx context.Context, t *traffic) error {
	if err := r.publishFirst(ctx); err != nil {
		return err
	}
	r.nameSubjects()
	ctx, r.stopClients = context.WithCancel(ctx)
	r.visiting, r.settle = context.WithCancel(ctx)
	for i := range r.opt.Clients {
		subject := r.subjects[i%len(r.subjects)]
		c := r.newClient(fmt.Sprintf("%04d %s", i, asBrowser), asBrowser, url.Values{"subject": {subject}}, nil)
		r.clients = append(r.clients, c)
		b := &browser{client: c, traffic: t}
		r.following.Go(func() {
			pause(ctx, time.Duration(i)*time.Second/arrivals)
			b.follow(ctx, r.rig.frontend)
		})
	}
	return r.startPublishers(ctx)
}

// restartAll does what is watched.
func (r *run) restartAll(ctx context.Context, w *watch, report *RollingReport) error {
	pause(ctx, r.opt.Duration)
	for i, g := range r.rig.gateways {
		if i > 0 {
			pause(ctx, report.Pause)
		}
		streams, err := w.streams(g)
		if err != nil {
			return err
		}
		restart := Restart{Gateway: i, Streams: streams, Told: time.Since(w.began)}
		if err := termGateway(r, ctx, Fault{Target: i}); err != nil {
			return err
		}
		restart.Ended = time.Since(w.began)
		if err := startGateway(r, ctx, Fault{Target: i}); err != nil {
			return err
		}
		if err := awaitOK(ctx, "http://"+g.addr+"/readyz"); err != nil {
			return err
		}
		restart.Ready = time.Since(w.began)
		report.Restarts = append(report.Restarts, restart)
		r.opt.Log("gateway-%d with %d streams ended after %s, and was ready %s later", i, restart.Streams,
			restart.drain().Round(time.Millisecond), (restart.Ready - restart.Ended).Round(time.Millisecond))
	}
	if err := poll(ctx, recoverTimeout, func() bool { return int(w.traffic.connected.Load()) == r.opt.Clients }); err != nil {
		return fmt.Errorf("await that all clients are back: %d are: %w", w.traffic.connected.Load(), err)
	}
	pause(ctx, r.opt.Duration)
	return ctx.Err()
}

// watch looks at everything once a second.
type watch struct {
	*run
	traffic *traffic
	began   time.Time
	last    time.Time
	used    map[int]time.Duration // by process id, until the last look
	totals  Second                // likewise, since the beginning
}

// everySecond returns what was seen until ctx ended.
func (w *watch) everySecond(ctx context.Context) (seconds []Second) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	w.look()
	for {
		select {
		case <-ticker.C:
			seconds = append(seconds, w.look())
		case <-ctx.Done():
			return seconds
		}
	}
}

// look returns what has happened since the last look.
func (w *watch) look() Second {
	now := time.Now()
	took := now.Sub(w.last)
	w.last = now
	s := Second{At: now.Sub(w.began), Took: took, Connected: w.traffic.connected.Load()}
	for _, c := range []struct {
		now         uint64
		total, here *uint64
	}{
		{w.traffic.reconnects.Load(), &w.totals.Reconnects, &s.Reconnects},
		{w.traffic.cuts.Load(), &w.totals.Cuts, &s.Cuts},
		{w.traffic.failures.Load(), &w.totals.Failures, &s.Failures},
		{w.traffic.sentBack.Load(), &w.totals.SentBack, &s.SentBack},
		{w.traffic.refusals.Load(), &w.totals.Refused, &s.Refused},
		{w.traffic.events.Load(), &w.totals.Events, &s.Events},
	} {
		*c.here, *c.total = c.now-*c.total, c.now
	}
	share := func(pid int) float64 { return w.since(pid).Seconds() / took.Seconds() }
	for i, g := range w.rig.gateways {
		s.Gateways[i] = share(g.process.pid())
		s.Streams[i], _ = w.streams(g) // none where it has ended
	}
	for _, n := range w.rig.nats {
		s.NATS += share(n.process.pid())
	}
	s.HAProxy, s.Clients = share(w.rig.haproxy.pid()), share(syscall.Getpid())
	return s
}

// since returns the processor time that a process has used since the last look, none where
// it has ended.
func (w *watch) since(pid int) time.Duration {
	before := w.used[pid]
	used := max(before, processorTime(pid))
	w.used[pid] = used
	return used - before
}

// processorTime returns what a process has used since its start; nothing where there is
// none.
func processorTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0 // it has ended meanwhile
	}
	stat, err := process.Stat()
	if err != nil {
		return 0 // likewise
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// streams returns how many a gateway has open.
func (w *watch) streams(g *gateway) (int, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	metrics, err := scrape(client, "http://"+g.admin+"/metrics", "ringcast_streams_open")
	return int(metrics["ringcast_streams_open"]), err
}

// take takes over what the clients have counted.
func (p *RollingReport) take(t *traffic) {
	p.SentBack, p.Failures, p.Refused = t.sentBack.Load(), t.failures.Load(), t.refusals.Load()
	away := t.awaySorted()
	for i, q := range []float64{0.5, 0.99, 1} {
		if n := len(away); n > 0 {
			p.Away[i] = away[min(int(q*float64(n)), n-1)]
		}
	}
}

// steady returns what the gateways took together before the first restart: the median of
// the seconds.
func (p *RollingReport) steady() float64 {
	var before []float64
	for _, s := range p.Seconds {
		if len(p.Restarts) > 0 && s.At < p.Restarts[0].Told {
			before = append(before, s.all())
		}
	}
	return median(before)
}

// spikeFactor is what the gateways may take together, in steady states, for as long as a
// drain and no longer.
const spikeFactor = 2

// longestSpike returns the longest time for which they took more than that.
func (p *RollingReport) longestSpike() (longest stretch) {
	bound := spikeFactor * p.steady()
	var spike stretch
	for _, s := range p.Seconds {
		if s.all() <= bound {
			spike = stretch{}
			continue
		}
		if spike.to == 0 {
			spike.from = s.At - s.Took
		}
		spike.to = s.At
		if spike.length() > longest.length() {
			longest = spike
		}
	}
	return longest
}

func (s stretch) length() time.Duration { return s.to - s.from }

// longestDrain returns how long the longest was.
func (p *RollingReport) longestDrain() (longest time.Duration) {
	for _, r := range p.Restarts {
		longest = max(longest, r.drain())
	}
	return longest
}

// burst is how many times as many clients may come back in one second as would if those
// of a gateway came evenly over its drain.
const burst = 3

// worstSecond returns the second in which, in that measure, most came back, and by how
// much.
func (p *RollingReport) worstSecond() (at time.Duration, times float64) {
	for i, r := range p.Restarts {
		until := time.Duration(1<<63 - 1)
		if i+1 < len(p.Restarts) {
			until = p.Restarts[i+1].Told
		}
		even := float64(r.Streams) / max(1, r.drain().Seconds())
		for _, s := range p.Seconds {
			if s.At > r.Told && s.At <= until && s.each(s.Reconnects)/even > times {
				at, times = s.At, s.each(s.Reconnects)/even
			}
		}
	}
	return at, times
}

// Smooth returns an error that says what was not as it is to be, nil where all was.
func (p *RollingReport) Smooth() error {
	errs := []error{p.Faultless()}
	if p.Refused > 0 {
		errs = append(errs, fmt.Errorf("%d answers would have ended a browser's EventSource for good", p.Refused))
	}
	if at, times := p.worstSecond(); times > burst {
		errs = append(errs, fmt.Errorf("at %s %.1f times as many clients came back as evenly over the drain", at.Round(time.Second), times))
	}
	if spike := p.longestSpike(); spike.length() > p.longestDrain() {
		errs = append(errs, fmt.Errorf("from %s on the gateways took more than %d times what they do in steady state for %s, longer than a drain (%s)",
			spike.from.Round(time.Second), spikeFactor, spike.length().Round(time.Second), p.longestDrain().Round(time.Second)))
	}
	return errors.Join(errs...)
}
