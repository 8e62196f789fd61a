//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"ringcast/transport/sse"
)

// visitor is a client that comes and goes, and resumes each time after its last event.
type visitor struct {
	*client
	rng         *rand.Rand
	stay, pause time.Duration // at most
}

// addVisitors adds clients that come and go until the run is to be concluded, and then
// stay.
func (r *run) addVisitors(ctx context.Context, n int, stay, pause time.Duration) {
	for i := range n {
		c := r.newClient(fmt.Sprintf("visitor %02d", i), ringcastGo, url.Values{"subject": {steadySubjects}}, nil)
		r.visitors = append(r.visitors, c)
		v := visitor{client: c, rng: rand.New(rand.NewPCG(r.opt.Seed, uint64(i))), stay: stay, pause: pause}
		r.following.Go(func() { r.visit(ctx, v) })
	}
}

func (r *run) visit(ctx context.Context, v visitor) {
	transport := v.transport()
	defer transport.CloseIdleConnections()
	stream := sse.Client{URL: v.url(r.rig.frontend, ""), HTTP: &http.Client{Transport: transport}, IdleTimeout: clientIdle,
		Backoff: 200 * time.Millisecond, MaxBackoff: 2 * time.Second,
		OnRetry: func(cause error, _ time.Duration) { r.tally.reconnected(v.library, cause.Error()) }}
	for ctx.Err() == nil {
		here, leave := context.WithCancel(ctx)
		timer := time.AfterFunc(v.upTo(v.stay), func() {
			if r.visiting.Err() == nil {
				leave()
			}
		})
		err := stream.Run(here, func(m sse.Message) error {
			v.checker.event(m.LastEventID, m.Type, string(m.Data))
			stream.LastEventID = m.LastEventID
			return nil
		})
		timer.Stop()
		leave()
		if !errors.Is(err, context.Canceled) {
			r.tally.reopened(v.library, fmt.Sprint(err))
			pause(ctx, reopenPause)
		}
		r.visits.Add(1)
		pause(r.visiting, v.upTo(v.pause))
	}
}

func (v visitor) upTo(most time.Duration) time.Duration {
	return time.Second + time.Duration(v.rng.Int64N(int64(most)))
}
