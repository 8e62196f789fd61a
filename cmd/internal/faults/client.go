package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
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
const slowBuffer = 16 << 10

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

// tally counts what clients and publishers went through. It may be used from any
// number of goroutines.
type tally struct {
	mu      sync.Mutex // guards what follows; nothing blocks while it is held
	clients map[string]*experience
	publish map[string]uint64 // errors of publishers
}

// experience is what the clients of one library went through.
type experience struct {
	Clients    int    `json:"clients"`
	Delivered  uint64 `json:"delivered"`
	Reconnects uint64 `json:"reconnects"`
	// GaveUp is how often one ended for good and was opened anew by its user.
	GaveUp uint64            `json:"gave_up"`
	Gaps   map[string]uint64 `json:"gaps,omitempty"`
	Errors map[string]uint64 `json:"errors,omitempty"`
}

func newTally() *tally {
	return &tally{clients: map[string]*experience{}, publish: map[string]uint64{}}
}

func (t *tally) of(library string) *experience {
	e := t.clients[library]
	if e == nil {
		e = &experience{Gaps: map[string]uint64{}, Errors: map[string]uint64{}}
		t.clients[library] = e
	}
	return e
}

func (t *tally) added(library string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).Clients++
}

func (t *tally) reconnected(library, cause string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).Reconnects++
	count(t.of(library).Errors, cause)
}

func (t *tally) reopened(library, cause string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).GaveUp++
	count(t.of(library).Errors, cause)
}

func (t *tally) publishFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count(t.publish, err.Error())
}

// varying is what makes texts of one error differ: addresses, and long names.
var varying = regexp.MustCompile(`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d+|"http://[^"]*"|http://\S+`)

// manyErrors bounds how many texts are told apart.
const manyErrors = 100

func count(errs map[string]uint64, text string) {
	text = varying.ReplaceAllString(text, "…")
	if _, ok := errs[text]; !ok && len(errs) >= manyErrors {
		text = "others"
	}
	errs[text]++
}

// stormLibrary is what the clients of storms are counted as: Ringcast's own, in Go.
const stormLibrary = "connection storms (" + ringcastGo + ")"

// stormed counts a client of a storm that has ended.
func (t *tally) stormed(c *checker) {
	t.added(stormLibrary)
	t.took(stormLibrary, c)
}

// took adds what a client was given.
func (t *tally) took(library string, c *checker) {
	delivered, gaps := c.totals()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.of(library)
	e.Delivered += delivered
	for reason, n := range gaps {
		e.Gaps[reason] += n
	}
}
