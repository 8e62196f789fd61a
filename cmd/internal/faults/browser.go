//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringcast/transport/sse"
)

// asBrowser is what the clients of a rolling restart are counted as.
const asBrowser = "EventSource, as in a browser"

// browser is a client that does as a browser's EventSource does
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#processing-model): after
// any end of a stream, and where there was no connection, it comes back when the time has
// passed that the stream named last; after any answer but a stream, never.
type browser struct {
	*client
	http        *http.Client
	traffic     *traffic
	lastEventID string
	wait        time.Duration
	left        time.Time // when it lost its stream; zero before the first
}

// traffic counts what the browsers do, all together. It may be used from any number of
// goroutines.
type traffic struct {
	connected  atomic.Int64 // those that have a stream
	reconnects atomic.Uint64
	cuts       atomic.Uint64
	failures   atomic.Uint64 // connections that could not be made, or ended before an answer
	sentBack   atomic.Uint64 // answers of HAProxy's own, in which no gateway is
	refusals   atomic.Uint64 // answers after which a browser does not come back
	events     atomic.Uint64

	mu   sync.Mutex // guards away; nothing blocks while it is held
	away []time.Duration
}

// back notes a stream, and how long its client was without one.
func (t *traffic) back(left time.Time) {
	t.connected.Add(1)
	if left.IsZero() {
		return
	}
	t.reconnects.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.away = append(t.away, time.Since(left))
}

// awaySorted returns how long clients were without a stream, each time, the shortest
// first.
func (t *traffic) awaySorted() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(slices.Values(t.away))
}

// errRefused is an answer that is no stream.
var errRefused = errors.New("no stream")

// browserRetry is how long a browser waits that was told nothing yet.
const browserRetry = 3 * time.Second

// follow follows until ctx ends. Where a browser would not come back, its user opens the
// page again.
func (b *browser) follow(ctx context.Context, frontend string) {
	transport := b.transport()
	defer transport.CloseIdleConnections()
	b.http, b.wait = &http.Client{Transport: transport}, browserRetry
	for ctx.Err() == nil {
		err := b.attempt(ctx, b.url(frontend, ""))
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errRefused):
			b.traffic.refusals.Add(1)
			b.tally.reopened(b.library, err.Error())
			pause(ctx, reopenPause)
		default:
			b.tally.reconnected(b.library, fmt.Sprint(err))
			pause(ctx, b.wait)
		}
	}
}

// attempt asks for the stream and reads it to its end.
func (b *browser) attempt(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", sse.ContentType)
	req.Header.Set("Cache-Control", "no-cache")
	if b.lastEventID != "" {
		req.Header.Set("Last-Event-ID", b.lastEventID)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.traffic.failures.Add(1)
		return err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != sse.ContentType {
		return fmt.Errorf("%w: %s, %s", errRefused, resp.Status, kind)
	}
	if resp.Header.Get("X-Request-Id") == "" { // which every answer of a gateway has
		b.traffic.sentBack.Add(1)
		return b.read(resp)
	}
	b.traffic.back(b.left)
	err = b.read(resp)
	b.left = time.Now()
	b.traffic.connected.Add(-1)
	if ctx.Err() == nil {
		b.traffic.cuts.Add(1)
	}
	return err
}

func (b *browser) read(resp *http.Response) error {
	stream := sse.NewDecoder(resp.Body, sse.WithLastEventID(b.lastEventID))
	for {
		m, err := stream.Next()
		b.lastEventID = stream.LastEventID()
		if wait, ok := stream.Retry(); ok {
			b.wait = wait
		}
		if err != nil {
			return err
		}
		b.traffic.events.Add(1)
		b.checker.event(m.LastEventID, m.Type, string(m.Data))
	}
}
