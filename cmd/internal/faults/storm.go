//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// stormTimeout is how long a storm may take until every client of it is served.
const stormTimeout = 90 * time.Second

// errLevel ends a client of a storm that has all there was.
var errLevel = errors.New("level")

// storm has many clients come back at once, each after one of the ids that another
// client was given lately, and follow everything until they have what was the newest
// event when they came. Each is checked as those are that stay.
func storm(r *run, ctx context.Context, f Fault) error {
	ids := r.recentIDs()
	if len(ids) == 0 {
		return nil
	}
	target := r.newestOf(r.subjects)
	ctx, cancel := context.WithTimeout(ctx, stormTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, ReadBufferSize: 4 << 10}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	var late atomic.Int64
	for i := range r.opt.Storm {
		after := ids[i%len(ids)]
		c := newChecker(fmt.Sprintf("storm-%d-%d", f.Number, i), r.subjects, false, after.Seq, r.ledger, r.violated)
		clients.Go(func() {
			if err := r.chase(ctx, transport, after, target, c); !errors.Is(err, errLevel) {
				late.Add(1)
			}
			r.tally.stormed(c)
		})
	}
	clients.Wait()
	if n := late.Load(); n > 0 && context.Cause(ctx) == context.DeadlineExceeded {
		r.violated(violation{Kind: unhealed, At: time.Now(), Detail: fmt.Sprintf("%d of %d clients of a storm did not get what there was within %s", n, r.opt.Storm, stormTimeout)})
	}
	return nil
}

func (r *run) chase(ctx context.Context, transport *http.Transport, after broker.ID, target uint64, c *checker) error {
	query := url.Values{"subject": {steadySubjects}, "from": {r.begin.String()}}
	client := sse.Client{
		URL: "http://" + r.rig.frontend + "/v1/stream?" + query.Encode(), LastEventID: after.String(),
		HTTP: &http.Client{Transport: transport}, IdleTimeout: clientIdle, Backoff: 200 * time.Millisecond, MaxBackoff: 2 * time.Second,
		OnRetry: func(cause error, _ time.Duration) { r.tally.reconnected(stormLibrary, cause.Error()) },
	}
	return client.Run(ctx, func(m sse.Message) error {
		c.event(m.LastEventID, m.Type, string(m.Data))
		if c.position() >= target {
			return errLevel
		}
		return nil
	})
}

// recentIDs returns ids that a client which follows everything was given lately.
func (r *run) recentIDs() []broker.ID {
	var ids []broker.ID
	for _, c := range r.clients {
		if c.query.Get("subject") != steadySubjects || c.checker.conflated {
			continue
		}
		for _, text := range c.checker.recent() {
			if id, err := broker.ParseID(text); err == nil && id.Seq > r.begin.Seq {
				ids = append(ids, id)
			}
		}
		return ids
	}
	return nil
}
