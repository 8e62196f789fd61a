//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startPublishers starts one for each subject, every other over HTTP.
func (r *run) startPublishers(ctx context.Context) error {
	ctx, r.abandon = context.WithCancel(ctx)
	quit := make(chan struct{})
	r.stopPublishing = sync.OnceFunc(func() { close(quit) })
	conn, err := nats.Connect(r.rig.natsURLs(), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1))
	if err != nil {
		return fmt.Errorf("connect publishers: %w", err)
	}
	r.publisherConn = conn
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	viaNATS := overNATS(js)
	viaHTTP := overHTTP(&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(r.subjects)}}, r.rig.frontend)
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	period := time.Duration(float64(len(r.subjects)) / r.opt.Rate * float64(time.Second))
	for i, subject := range r.subjects {
		p := &publisher{subject: subject, run: run, send: viaHTTP, ledger: r.ledger, tell: r.tally.publishFailed, kick: make(chan struct{}, 1)}
		if i%2 == 0 {
			p.send = viaNATS
		}
		r.steady = append(r.steady, p)
		r.publishing.Go(func() { r.notePublishing(p.publishSteadily(ctx, quit, period)) })
	}
	r.burst = func() { r.publishBurst(ctx) }
	for _, subject := range burstNames() {
		r.bursting = append(r.bursting, &publisher{subject: subject, run: run, send: viaNATS, ledger: r.ledger, tell: r.tally.publishFailed})
	}
	return nil
}

// notePublishing notes what ended a publisher, but for the end of the run.
func (r *run) notePublishing(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.publishErr = err
	}
}

// A burst: so many events of so many bytes to each of its subjects.
const (
	burstEvents = 60
	burstSize   = 12 << 10
)

func (r *run) publishBurst(ctx context.Context) {
	var publishing sync.WaitGroup
	for _, p := range r.bursting {
		publishing.Go(func() {
			for range burstEvents {
				if err := p.publish(ctx, burstSize); err != nil {
					r.notePublishing(err)
					return
				}
			}
		})
	}
	publishing.Wait()
}
