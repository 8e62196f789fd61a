//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"ringcast/cmd/internal/bench"
)

// sizingFlags have the gateways as they are by default where the harness has them
// otherwise.
var sizingFlags = []string{"--log-level", "info", "--heartbeat", "15s", "--write-timeout", "30s", "--ring-max-events", "100000"}

// The loads that are the same for any number of gateways. Of the first there are no
// clients; of the second each event goes to a hundred.
const (
	ingestRate    = 2000
	fanoutRate    = 300
	fanoutClients = 3000
	fanoutTo      = 100
)

// What one gateway is measured with.
const (
	// manyClients are as many as fit into 18,000 of the 20,000 files that a process may
	// have open here.
	manyClients  = 17_500
	manyRate     = 2
	someClients  = 1000
	patienceRest = 20 * time.Second
)

// someRates are tried one after the other until the p99 is above boundedP99, in
// milliseconds: what is published waits longer and longer then.
var someRates = []float64{20, 100, 500, 2500, 10_000}

const boundedP99 = 1000

// SizingReport is what was measured.
type SizingReport struct {
	Version string    `json:"version"`
	Began   time.Time `json:"began"`
	Note    string    `json:"note,omitempty"`
	// LoadAverages are those of the machine, of a minute, before and after.
	LoadAverages [2]string `json:"load_averages"`
	Shared       []Cost    `json:"shared"` // one for each load, number of gateways, and run
	One          []Limit   `json:"one"`
}

// Cost is what a load took.
type Cost struct {
	Run      int     `json:"run"`
	Load     string  `json:"load"`
	Gateways int     `json:"gateways"`
	Seconds  float64 `json:"seconds"`
	// Ingested and Delivered are events, by all gateways together; Published are those
	// of the stream.
	Published uint64 `json:"published"`
	Ingested  uint64 `json:"ingested"`
	Delivered uint64 `json:"delivered"`
	// In cores.
	GatewayCPU float64 `json:"gateway_cpu"`
	NATSCPU    float64 `json:"nats_cpu"`
}

// Limit is what one gateway did under one load.
type Limit struct {
	Run    int           `json:"run"`
	Load   string        `json:"load"`
	Result *bench.Result `json:"result"`
}

// The loads, by name.
const (
	ingest = "ingest"
	fanout = "fan-out"
)

// Sizing measures what gateways and NATS take, so many times.
func Sizing(ctx context.Context, opt Options, runs int) (*SizingReport, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	opt.SmallDisk, opt.Stepped, opt.Direct = false, "", true
	opt.GatewayFlags = append(sizingFlags[:len(sizingFlags):len(sizingFlags)], opt.GatewayFlags...)
	report := &SizingReport{Began: time.Now().UTC().Truncate(time.Second)}
	report.LoadAverages[0] = loadAverage()
	r := &run{opt: opt}
	var err error
	if r.rig, err = newRig(ctx, opt); err != nil {
		return nil, fmt.Errorf("start the rig: %w", err)
	}
	for n := 1; n <= runs && err == nil; n++ {
		err = r.size(ctx, n, report)
	}
	report.LoadAverages[1] = loadAverage()
	return report, errors.Join(err, r.rig.err(), r.rig.close())
}

// loadAverage returns the machine's of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// size is one run: with three gateways, then with fewer, then with none, then with one that
// had no clients before; then all are there again.
func (r *run) size(ctx context.Context, n int, report *SizingReport) error {
	for gateways := nodes; gateways >= 0; gateways-- {
		loads := []string{ingest, fanout}
		if gateways == 0 {
			loads = []string{ingest}
		}
		for _, load := range loads {
			c, err := r.cost(ctx, load, gateways)
			if err != nil {
				return fmt.Errorf("%s with %d gateways: %w", load, gateways, err)
			}
			c.Run = n
			report.Shared = append(report.Shared, c)
			r.opt.Log("%+v", c)
		}
		if gateways == 0 {
			break
		}
		if err := termGateway(r, ctx, Fault{Target: gateways - 1}); err != nil {
			return err
		}
	}
	if err := r.limits(ctx, n, report); err != nil {
		return err
	}
	return errors.Join(r.bringUp(ctx, 1), r.bringUp(ctx, 2))
}

// bringUp starts a gateway and waits until it is ready.
func (r *run) bringUp(ctx context.Context, gateway int) error {
	if err := startGateway(r, ctx, Fault{Target: gateway}); err != nil {
		return err
	}
	return awaitOK(ctx, "http://"+r.rig.gateways[gateway].addr+"/readyz")
}

// account is what was used and done until a time.
type account struct {
	at                  time.Time
	gateways, nats      time.Duration
	ingested, delivered uint64
}

func (r *run) account(gateways int) (account, error) {
	a := account{at: time.Now()}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, g := range r.rig.gateways[:gateways] {
		m, err := scrape(client, "http://"+g.admin+"/metrics", "ringcast_events_total", "ringcast_deliveries_total")
		if err != nil {
			return a, err
		}
		a.ingested += uint64(m["ringcast_events_total"])
		a.delivered += uint64(m["ringcast_deliveries_total"])
		a.gateways += processorTime(g.process.pid())
	}
	for _, n := range r.rig.nats {
		a.nats += processorTime(n.process.pid())
	}
	return a, nil
}

// cost measures a load on so many gateways, in the middle of it.
func (r *run) cost(ctx context.Context, load string, gateways int) (Cost, error) {
	const before, after = 2 * time.Second, 4 * time.Second
	loads := r.split(load, gateways)
	results := make([]*bench.Result, len(loads))
	errs := make([]error, len(loads))
	clients := 0
	var loading sync.WaitGroup
	for i, o := range loads {
		o.Warmup, o.Duration = time.Second, before+r.opt.Duration+after
		clients += o.Clients
		loading.Go(func() { results[i], errs[i] = bench.Run(ctx, o) })
	}
	w := watch{run: r}
	err := poll(ctx, startTimeout, func() bool {
		open := 0
		for _, g := range r.rig.gateways[:gateways] {
			n, err := w.streams(g)
			if err != nil {
				return false
			}
			open += n
		}
		return open == clients
	})
	pause(ctx, before)
	a, accountErr := r.account(gateways)
	pause(ctx, r.opt.Duration)
	b, laterErr := r.account(gateways)
	loading.Wait()
	if err := errors.Join(append(errs, err, accountErr, laterErr)...); err != nil {
		return Cost{}, err
	}
	for _, result := range results {
		if err := result.Faultless(); err != nil {
			return Cost{}, err
		}
	}
	took := b.at.Sub(a.at).Seconds()
	c := Cost{Load: load, Gateways: gateways, Seconds: took, Ingested: b.ingested - a.ingested, Delivered: b.delivered - a.delivered,
		GatewayCPU: (b.gateways - a.gateways).Seconds() / took, NATSCPU: (b.nats - a.nats).Seconds() / took}
	if c.Published = uint64(ingestRate * took); gateways > 0 {
		c.Published = c.Ingested / uint64(gateways)
	}
	return c, nil
}

// split divides a load evenly among gateways: its clients, its subjects and what is
// published to them, of which every gateway takes in all.
func (r *run) split(load string, gateways int) (loads []bench.Options) {
	if load == ingest {
		o := r.generator(0, "ingest")
		o.Clients, o.Rate, o.Subjects = 0, ingestRate, 100
		return []bench.Options{o}
	}
	for i := range gateways {
		o := r.generator(i, fmt.Sprintf("fanout%d", i))
		o.Clients, o.Rate = fanoutClients/gateways, fanoutRate/float64(gateways)
		o.Subjects = o.Clients / fanoutTo
		loads = append(loads, o)
	}
	return loads
}

// generator is the load generator on a gateway.
func (r *run) generator(gateway int, name string) bench.Options {
	o := bench.Defaults()
	o.URL = "http://" + r.rig.gateways[gateway].addr
	o.NATSURL = "nats://" + r.rig.nats[gateway].client
	o.Prefix = "events.sizing." + name
	o.Patience = patienceRest
	o.Duration = r.opt.Duration
	return o
}

// limits starts the first gateway and measures it alone.
func (r *run) limits(ctx context.Context, n int, report *SizingReport) error {
	if err := r.bringUp(ctx, 0); err != nil {
		return err
	}
	measure := func(load string, change func(*bench.Options)) (*bench.Result, error) {
		o := r.generator(0, "limits")
		o.PIDs = []int{r.rig.gateways[0].process.pid()}
		change(&o)
		result, err := bench.Run(ctx, o)
		if err == nil {
			err = result.Faultless()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", load, err)
		}
		report.One = append(report.One, Limit{n, load, result})
		r.opt.Log("%s: %+v %+v", load, result.Server, result.Latency)
		return result, nil
	}
	if _, err := measure("idle", func(o *bench.Options) { o.Scenario, o.Clients = bench.Idle, manyClients }); err != nil {
		return err
	}
	if _, err := measure("many clients", func(o *bench.Options) { o.Clients, o.Rate = manyClients, manyRate }); err != nil {
		return err
	}
	for _, rate := range someRates {
		result, err := measure("some clients", func(o *bench.Options) { o.Clients, o.Rate = someClients, rate })
		if err != nil {
			return err
		}
		if result.Latency.P99 > boundedP99 {
			break
		}
	}
	_, err := measure("as fast as it goes", func(o *bench.Options) { o.Clients, o.Rate = 1, 0 })
	return err
}
