//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// visitors are clients of a soak that come and go.
const visitors = 100

// soakFlags have rings and stream reach their limits early, so that all of the rest is
// spent at them.
var soakFlags = []string{"--ring-max-events", "4000", "--stream-max-events", "8000"}

// A soak is judged when a part of it is over, for programs to warm up, and not before so
// many events: rings are full then, and the newest events that a gateway keeps in memory
// (8,192 at most). That is seen: memory rises until then, and stands.
const (
	settled       = 0.25
	settledEvents = 10_000
)

// judgedFrom returns when.
func (o Options) judgedFrom() time.Duration {
	return max(time.Duration(settled*float64(o.Duration)), time.Duration(settledEvents/o.Rate*float64(time.Second)))
}

// SoakReport is what came of a soak.
type SoakReport struct {
	*Report
	Samples []Sample `json:"samples"`
	// Judged is the time from which samples are judged.
	Judged time.Duration `json:"judged"`
	Trends []Trend       `json:"trends"`
}

// Soak runs the load without faults for as long as the options say, with clients that
// come and go, and samples the gateways.
func Soak(ctx context.Context, opt Options, every time.Duration) (*SoakReport, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	opt.Faults, opt.SmallDisk, opt.Stepped = 0, false, ""
	opt.Visitors, opt.Stay, opt.Away = visitors, 20*time.Second, 2*time.Second
	opt.GatewayFlags = append(soakFlags[:len(soakFlags):len(soakFlags)], opt.GatewayFlags...)
	r := &run{opt: opt, ledger: newLedger(), tally: newTally(), gate: newGate(), retained: true}
	report := &SoakReport{Report: newReport(opt, time.Now()), Judged: opt.judgedFrom()}
	var err error
	if r.rig, err = newRig(ctx, opt); err != nil {
		return nil, fmt.Errorf("start the rig: %w", err)
	}
	err = r.soak(ctx, report, every)
	err = errors.Join(err, r.stop(), r.rig.err(), r.rig.close())
	report.close(r)
	report.judge()
	return report, err
}

func (r *run) soak(ctx context.Context, report *SoakReport, every time.Duration) error {
	if err := r.startLoad(ctx); err != nil {
		return err
	}
	if err := r.watch(ctx, report, every); err != nil {
		return err
	}
	return r.conclude(ctx, report.Report)
}

// watch samples the gateways for the whole time.
func (r *run) watch(ctx context.Context, report *SoakReport, every time.Duration) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for time.Since(began) < r.opt.Duration {
		for _, g := range r.rig.gateways {
			s, err := g.sample(client, time.Since(began))
			if err != nil {
				return err
			}
			report.Samples = append(report.Samples, s)
		}
		select {
		case <-ticker.C:
		case <-r.rig.broken:
			return r.rig.err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// judge finds the trends.
func (p *SoakReport) judge() {
	for _, m := range measures {
		for g := range nodes {
			p.Trends = append(p.Trends, m.trend(g, p.Samples, p.Judged))
		}
	}
}

// leastJudged is how many samples of each gateway say something.
const leastJudged = 12

// Flat returns an error that says what grew, or what was violated, or that it was too
// short to say; nil where nothing was.
func (p *SoakReport) Flat() error {
	judged := 0
	for _, s := range p.Samples {
		if s.At >= p.Judged {
			judged++
		}
	}
	if judged < leastJudged*nodes {
		return errors.Join(fmt.Errorf("too short to say what grows: it is judged from %s on", p.Judged.Round(time.Second)), p.Faultless())
	}
	var grown []string
	for _, t := range p.Trends {
		if t.Grows() {
			grown = append(grown, fmt.Sprintf("%s of gateway-%d by %.1f, more than %.1f", t.Measure, t.Gateway, t.Growth, t.Bound))
		}
	}
	if len(grown) > 0 {
		return errors.Join(fmt.Errorf("grown: %s", strings.Join(grown, "; ")), p.Faultless())
	}
	return p.Faultless()
}
