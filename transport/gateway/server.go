package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/ask"
	"ringcast/transport/peers"
	"ringcast/transport/presence"
	"ringcast/transport/tracing"
)

// Options configures a Server. Hub, Publisher, Status and Subjects are required;
// elsewhere the zero value stands for the default.
type Options struct {
	Hub       *broker.Hub
	Publisher broker.Publisher
	// Status reports the parts behind the gateway, for /v1/status and /readyz. The
	// gateway adds what it knows itself.
	Status func() Status
	// Subjects are the patterns served here; requests outside are refused.
	Subjects []string
	// Stream is the name of the JetStream stream. It is part of the source of
	// CloudEvents.
	Stream string
	// Pages serves what is neither the API nor health. Default: nothing.
	Pages http.Handler

	// Heartbeat is how long a stream is silent at most. Default: 15 s.
	Heartbeat time.Duration
	// Retry is the reconnection time that streams tell their clients. Default: 2 s.
	Retry time.Duration
	// WriteTimeout bounds one write to a client that does not read, and the whole
	// of a request that is no stream. Default: 30 s.
	WriteTimeout time.Duration
	// Compression has streams compressed with gzip for clients that accept it.
	Compression bool
	// PublishMaxBytes bounds the body of a publish request. Default: 1 MiB.
	PublishMaxBytes int64
	// Access decides who may do what. Default: everybody everything.
	Access *access.Policy
	// Peers are the other gateways, of which /v1/subscriptions asks. Default: none.
	Peers *peers.Network
	// Presence keeps and tells who is on a subject. Default: nobody is told.
	Presence *presence.Tracker
	// Ask has questions answered by workers. Default: none are.
	Ask *ask.Desk
	// Limits bound what clients may take. Default: none.
	Limits Limits
	// TrustedProxies are the addresses whose X-Forwarded-For says where a request comes
	// from. From any other it is anybody's claim. Default: none.
	TrustedProxies []netip.Prefix
	// DrainTime is over how long streams are cut at a shutdown, where there are many.
	// Default: all at once.
	DrainTime time.Duration
	// StreamLifetime is how long a stream lasts at most, less up to a tenth by chance,
	// so that clients that came together do not come back together. Default: no limit.
	StreamLifetime time.Duration
	// TicketKey signs tickets: 32 bytes or more, the same on all gateways that shall
	// take each other's. Default: one of this server's own.
	TicketKey []byte
	// TicketTTL is how long a ticket opens streams. Default: 5 min.
	TicketTTL time.Duration
	// CORSOrigins are the origins whose pages may use the API: exact
	// (https://app.example), of every subdomain (https://*.app.example), or * for any,
	// without credentials. Default: none but the gateway's own.
	CORSOrigins []string
	// Metrics answers /metrics, for those who are granted it. Default: nothing.
	Metrics http.Handler
	// Resumed is told of every stream that resumes, and how many events the stream, not
	// the client's part of it, is ahead of it. It must not block. Default: nobody is told.
	Resumed func(behind uint64)
	// Tracing makes spans of requests and of first deliveries. Default: none.
	Tracing *tracing.Tracing
	// Logger gets one record for each failure, and at level debug one for each request,
	// and two for a stream. Default: slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Pages == nil {
		o.Pages = http.NotFoundHandler()
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Retry <= 0 {
		o.Retry = 2 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.PublishMaxBytes <= 0 {
		o.PublishMaxBytes = 1 << 20
	}
	if o.Access == nil {
		o.Access = access.Everybody()
	}
	if len(o.TicketKey) == 0 {
		o.TicketKey = newTicketKey()
	}
	if o.TicketTTL <= 0 {
		o.TicketTTL = 5 * time.Minute
	}
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	if o.Resumed == nil {
		o.Resumed = func(uint64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Limits of every request. A GET with hundreds of subjects fits; longer lists go
// by POST.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Server is the gateway.
type Server struct {
	opts      Options
	http      *http.Server
	encodings []*encoding
	limits    *limits
	// open is what is open now; what follows counts since born.
	// sent is for what net/http writes.
	open     open
	opened   opened
	outcomes outcomes
	gaps     gaps
	sent     sent
	cuts     cuts
	problems problems
	// carried are the streams that net/http carries; shards have the others.
	carried carried
	// born is when the clock of the streams began.
	born time.Time

	// shards serve the streams on connections that were taken over, and departures,
	// nil where that cannot be, watches these; next counts them. running counts the
	// streams and their goroutines, and serving the goroutines that serve them, from
	// the first stream until stop is closed.
	shards     []*shard
	departures *departures
	next       atomic.Uint32
	running    sync.WaitGroup
	serving    sync.WaitGroup
	startOnce  sync.Once
	stop       chan struct{}
	stopOnce   sync.Once

	// drain is closed by drainStreams, with turns set, and cut by Shutdown, each once.
	drain        chan struct{}
	turns        atomic.Pointer[turns]
	cut          chan struct{}
	shutdownOnce sync.Once
}

// New returns a server that is not listening yet.
func New(opts Options) *Server {
	s := &Server{
		opts:      opts.withDefaults(),
		encodings: newEncodings(opts.Stream),
		limits:    newLimits(opts.Limits),
		born:      time.Now(),
		stop:      make(chan struct{}),
		drain:     make(chan struct{}),
		cut:       make(chan struct{}),
	}
	if s.opts.Peers != nil {
		s.opts.Peers.Handle(askSubscriptions, s.answerSubscriptions)
	}
	for range runtime.GOMAXPROCS(0) {
		s.shards = append(s.shards, newShard(s))
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.countProblems(s.handleError)
	e.IPExtractor = extractAddress(s.opts.TrustedProxies)
	s.routes(e)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // which an ingress may speak to a pod
	s.http = &http.Server{
		Protocols:         &protocols,
		Handler:           e,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// extractAddress returns what finds the address that a request comes from.
func extractAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trusted := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trusted = append(trusted, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(trusted...)
}

// Serve answers requests on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// Shutdown cuts every stream so that its client comes back, one after the other over
// the drain time; then it stops listening and waits for the requests under way. When
// ctx ends first it closes their connections and returns the context's error. It may be
// called more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdownOnce.Do(func() {
		s.drainStreams(ctx)
		close(s.cut)
	})
	for _, sh := range s.shards {
		sh.drain()
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	if late := s.awaitStreams(ctx); err == nil {
		err = late
	}
	s.stopServing()
	if err != nil {
		return fmt.Errorf("shut down http: %w", err)
	}
	return nil
}

// awaitStreams returns when all streams on connections taken over have ended. When
// ctx ends first it closes these.
func (s *Server) awaitStreams(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, sh := range s.shards {
		sh.endAll()
	}
	<-ended
	return ctx.Err()
}

// startServing starts what serves the streams on connections taken over, once. It
// reports whether there is any.
func (s *Server) startServing() bool {
	s.startOnce.Do(func() {
		d, err := newDepartures()
		if err != nil {
			s.opts.Logger.Warn("streams are served the slow way", "err", err)
			return
		}
		s.departures = d
		s.serving.Go(d.run)
		for _, sh := range s.shards {
			s.serving.Go(func() { sh.run(s.stop) })
		}
	})
	return s.departures != nil
}

// stopServing ends it, once there are no streams.
func (s *Server) stopServing() {
	s.startOnce.Do(func() {}) // what has not started never will
	s.stopOnce.Do(func() {
		close(s.stop)
		if s.departures != nil {
			s.departures.close()
		}
	})
	s.serving.Wait()
}

// nextShard returns the shard of a new stream.
func (s *Server) nextShard() *shard { return s.shards[int(s.next.Add(1))%len(s.shards)] }

// clock is the time since the server was made: for what is measured often, half a
// time.Time to keep.
func (s *Server) clock() time.Duration { return time.Since(s.born) }

// tick is how often a shard looks for streams that have a heartbeat due.
func (s *Server) tick() time.Duration { return max(s.opts.Heartbeat/8, time.Millisecond) }
