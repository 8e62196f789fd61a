//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	gosse "github.com/tmaxmax/go-sse"

	"ringcast/transport/sse"
)

// The client libraries, by the names of their packages.
const (
	ringcastGo = "ringcast/transport/sse"
	goSSE      = "github.com/tmaxmax/go-sse"
	ringcastJS = "@ringcast/client"
	eventsrc   = "eventsource"
	undici     = "undici"
)

// libraries has each as often as a share of the clients uses it.
var libraries = []string{ringcastGo, ringcastJS, goSSE, eventsrc, ringcastGo, undici, goSSE, ringcastJS, eventsrc, undici}

// clientIdle is how long a client that looks at it takes a stream without a byte:
// five heartbeats.
const clientIdle = 10 * time.Second

// reopenPause is how long the user of a client that has ended for good waits before he
// opens it again.
const reopenPause = 500 * time.Millisecond

// client is one that stays subscribed for the whole run.
type client struct {
	library string
	query   url.Values
	checker *checker
	tally   *tally
	gate    *gate // nil but for a slow reader
}

func (c *client) url(frontend, lastEventID string) string {
	query := url.Values{}
	maps.Copy(query, c.query)
	if lastEventID != "" {
		query.Set("last_event_id", lastEventID)
	}
	return "http://" + frontend + "/v1/stream?" + query.Encode()
}

// follow runs a client of Go until ctx ends.
func (c *client) follow(ctx context.Context, frontend string) {
	if c.library == goSSE {
		c.followGoSSE(ctx, frontend)
		return
	}
	stream := &sse.Client{
		URL: c.url(frontend, ""), IdleTimeout: clientIdle, Backoff: 200 * time.Millisecond, MaxBackoff: 2 * time.Second,
		HTTP:    &http.Client{Transport: c.transport()},
		OnRetry: func(cause error, _ time.Duration) { c.tally.reconnected(c.library, cause.Error()) },
	}
	for ctx.Err() == nil {
		err := stream.Run(ctx, func(m sse.Message) error {
			c.gate.pass(ctx)
			c.checker.event(m.LastEventID, m.Type, string(m.Data))
			stream.LastEventID = m.LastEventID
			return nil
		})
		if ctx.Err() == nil {
			c.tally.reopened(c.library, fmt.Sprint(err))
			pause(ctx, reopenPause)
		}
	}
}

// followGoSSE follows with go-sse, which gives up for good at anything but a 200, and
// then is opened anew after its last event. It has no limit on silence: of the two
// ways to notice a dead connection, HAProxy's is its own.
func (c *client) followGoSSE(ctx context.Context, frontend string) {
	lastEventID := ""
	library := gosse.Client{
		HTTPClient: &http.Client{Transport: c.transport()},
		Backoff:    gosse.Backoff{InitialInterval: 300 * time.Millisecond, MaxInterval: 2 * time.Second},
		OnRetry:    func(err error, _ time.Duration) { c.tally.reconnected(c.library, err.Error()) },
	}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(frontend, lastEventID), nil)
		if err != nil {
			c.tally.reopened(c.library, err.Error())
			return
		}
		connection := library.NewConnection(req)
		connection.SubscribeToAll(func(e gosse.Event) {
			typ := e.Type
			if typ == "" {
				typ = "message"
			}
			lastEventID = e.LastEventID
			c.checker.event(e.LastEventID, typ, e.Data)
		})
		err = connection.Connect()
		if ctx.Err() == nil {
			c.tally.reopened(c.library, fmt.Sprint(err))
			pause(ctx, reopenPause)
		}
	}
}

// slowBuffer is how much a slow reader's socket takes for it.
const slowBuffer = 64 << 10

func (c *client) transport() *http.Transport {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if tcp, ok := conn.(*net.TCPConn); ok && err == nil && c.gate != nil {
				err = errors.Join(err, tcp.SetReadBuffer(slowBuffer))
			}
			return conn, err
		},
		DisableKeepAlives: true,
		ReadBufferSize:    4 << 10,
	}
}

// gate is what slow readers stop at. A nil one is always open.
type gate struct {
	mu   sync.Mutex    // guards open; nothing blocks while it is held
	open chan struct{} // closed while the gate is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

// shut has those who come wait; lift lets them go.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) pass(ctx context.Context) {
	if g == nil {
		return
	}
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
