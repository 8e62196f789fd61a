package jetstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/tracing"
)

const (
	defaultConnectTimeout = 5 * time.Second
	reconnectWait         = 250 * time.Millisecond
	// After a server restart every gateway reconnects: the jitter spreads them.
	reconnectJitter    = 500 * time.Millisecond
	reconnectJitterTLS = 2 * time.Second
	// A peer that vanished without a word is noticed within about 30 s, not the
	// library's six minutes.
	pingInterval        = 10 * time.Second
	maxPingsOutstanding = 2
)

// Options says how to reach NATS.
type Options struct {
	// URL is one NATS URL, or several of one cluster separated by commas. User,
	// password or token may stand in it: they are never logged.
	URL string
	// Name is how the connection shows in the server's monitoring. Default:
	// "ringcast".
	Name string
	// CredsFile is a NATS credentials file (JWT and seed).
	CredsFile string
	// TLSCA, TLSCert and TLSKey are PEM files: the authorities to trust, and the
	// client's own certificate and key, which go together.
	TLSCA, TLSCert, TLSKey string
	// ConnectTimeout bounds one attempt to connect. Default: 5 s.
	ConnectTimeout time.Duration
	// Tracing makes spans of what is published. Default: none.
	Tracing *tracing.Tracing
	// Logger receives connection events, each once. Default: none.
	Logger *slog.Logger
}

// Client is a connection to NATS that is kept for ever. It is safe for
// concurrent use.
type Client struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	log    *slog.Logger
	traces *tracing.Tracing
	redact redactor
	closed chan struct{} // closed by nats.go's ClosedHandler, once

	// mu guards the fields below; nothing blocks while it is held.
	mu      sync.Mutex
	up      chan struct{}           // closed while connected; replaced on a disconnect
	live    context.Context         // ends with the connection; replaced on a connect
	endLive context.CancelCauseFunc // of live
	lastErr error                   // of the connection, until it is up again
	stream  string                  // set by EnsureStream
	denied  map[string]bool         // permissions found to be missing
	// origin is of what the stream is a mirror, empty where it is none, as it was last
	// found; mirrored, whether it has ever been one.
	origin   origin
	mirrored bool
	dense    dense       // where the last hole of a mirror ends, as far as it was looked for
	diverged *divergence // of a mirror and its origin; nil: they have not, as far as is known
}

// Status is the state of the connection.
type Status struct {
	Connected bool
	// Server is the URL of the connected server, without credentials, empty when
	// there is none.
	Server string
	// LastError says why there is no connection. It has no credentials in it.
	LastError string
	// Reconnects counts how often the connection was made again.
	Reconnects uint64
}

// Connect connects to NATS. What only an operator can mend (the server refuses
// the credentials, a certificate does not verify, a file is missing, the URL is
// none) is an error that matches ErrConfig. A server that cannot be reached is
// no error: Connect returns a client that goes on trying, for ever, and whose
// Status says why.
func Connect(ctx context.Context, opt Options) (*Client, error) {
	c := newClient(opt)
	options := append(c.natsOptions(ctx, opt), securityOptions(opt)...)

	nc, err := nats.Connect(opt.URL, options...)
	if err != nil {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		if !unreachable(err) {
			return nil, permanent(fmt.Errorf("connect to NATS: %w", c.redact.err(err)))
		}
		c.setDown(err)
		c.log.Warn("NATS cannot be reached: trying on", "url", c.redact.text(opt.URL), "error", c.redact.err(err))
		nc, err = nats.Connect(opt.URL, append(options, nats.RetryOnFailedConnect(true))...)
		if err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", c.redact.err(err))
		}
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc); err != nil {
		c.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if nc.IsConnected() {
		c.awaitUp(ctx)
	}
	return c, nil
}

func newClient(opt Options) *Client {
	c := &Client{
		log:    opt.Logger,
		traces: opt.Tracing,
		redact: newRedactor(opt.URL),
		closed: make(chan struct{}),
		up:     make(chan struct{}),
	}
	c.live, c.endLive = context.WithCancelCause(context.Background())
	c.endLive(ErrDisconnected)
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

// natsOptions returns what makes the connection last, and what reports on it.
func (c *Client) natsOptions(ctx context.Context, opt Options) []nats.Option {
	name := opt.Name
	if name == "" {
		name = "ringcast"
	}
	timeout := opt.ConnectTimeout
	if timeout <= 0 {
		timeout = defaultConnectTimeout
	}
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(deadline)), time.Millisecond)
	}
	return []nats.Option{
		nats.Name(name),
		nats.Timeout(timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitterTLS),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOutstanding),
		// Credentials are rotated on both sides, not at the same moment: without
		// this the second refusal would close the connection for good.
		nats.IgnoreAuthErrorAbort(),
		// A publish that was refused must not happen later: nothing is buffered
		// while there is no connection.
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(func(nc *nats.Conn) { c.setUp(nc) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.setUp(nc) }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { c.lostConnection(nc, err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.noteError(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { c.asyncError(sub, err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
}

func securityOptions(opt Options) []nats.Option {
	var options []nats.Option
	if opt.CredsFile != "" {
		options = append(options, nats.UserCredentials(opt.CredsFile))
	}
	if opt.TLSCA != "" {
		options = append(options, nats.RootCAs(opt.TLSCA))
	}
	if opt.TLSCert != "" || opt.TLSKey != "" {
		options = append(options, nats.ClientCert(opt.TLSCert, opt.TLSKey))
	}
	return options
}

// unreachable reports whether a first connect failed for a reason that time may
// mend. A server that answers and refuses is not one.
func unreachable(err error) bool {
	var badCert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &badCert),
		errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return false
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrMaxConnectionsExceeded),
		errors.Is(err, nats.ErrConnectionClosed), isEOF(err):
		return true
	}
	return isNetError(err)
}

// Close ends the connection and waits until nats.go is done with it. Requests
// under way fail.
func (c *Client) Close() {
	c.nc.Close()
	<-c.closed
}

// Core returns the connection itself, for messages that are not of the stream. The
// Client closes it.
func (c *Client) Core() *nats.Conn { return c.nc }

// Status returns the state of the connection.
func (c *Client) Status() Status {
	s := Status{Connected: c.nc.IsConnected(), Reconnects: c.nc.Stats().Reconnects}
	if s.Connected {
		s.Server = c.redact.text(c.nc.ConnectedUrl())
		return s
	}
	s.LastError = ErrDisconnected.Error()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastErr != nil {
		s.LastError = c.redact.text(c.lastErr.Error())
	}
	return s
}

// connected returns a channel that is closed while there is a connection.
func (c *Client) connected() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// whileConnected returns a context that ends with ctx or with the connection,
// then with the cause ErrDisconnected. An answer on its way when the connection
// breaks never comes: nobody has to wait for it until a timeout.
func (c *Client) whileConnected(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	live := c.live
	c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(live, func() { cancel(ErrDisconnected) })
	return ctx, func() { stop(); cancel(nil) }
}

// awaitUp waits until nats.go has told that it is connected.
func (c *Client) awaitUp(ctx context.Context) {
	select {
	case <-c.connected():
	case <-c.closed:
	case <-ctx.Done():
	}
}

func (c *Client) setUp(nc *nats.Conn) {
	c.mu.Lock()
	changed := c.live.Err() != nil
	if changed {
		close(c.up)
		c.live, c.endLive = context.WithCancelCause(context.Background())
	}
	c.lastErr = nil
	c.mu.Unlock()
	if changed {
		c.log.Info("connected to NATS", "server", c.redact.text(nc.ConnectedUrl()), "version", nc.ConnectedServerVersion())
	}
}

// setDown notes that there is no connection and reports whether that is new.
func (c *Client) setDown(err error) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lastErr = err
	}
	if c.live.Err() != nil {
		return false
	}
	c.endLive(ErrDisconnected)
	c.up = make(chan struct{})
	return true
}

func (c *Client) lostConnection(nc *nats.Conn, err error) {
	if !c.setDown(err) || nc.IsClosed() { // closed: by our own Close
		return
	}
	c.log.Warn("lost the connection to NATS: reconnecting", "error", c.redact.err(err))
}

// noteError keeps the error of one failed attempt for Status. It is not logged:
// there is one every second while NATS is away.
func (c *Client) noteError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastErr = err
}

// asyncError logs what nats.go tells outside any call: a slow subscription, a
// missing permission, once each. A refused reconnect shows in Status like any other.
func (c *Client) asyncError(sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
		c.noteError(err)
		return
	}
	if errors.Is(err, nats.ErrPermissionViolation) && !c.noteDenied(err.Error()) {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.Warn("NATS reports an error", "subject", subject, "error", c.redact.err(err))
}

// maxDenied bounds the missing permissions that are told apart. Of any more it was said
// often enough that some are missing.
const maxDenied = 100

// noteDenied reports whether that permission was not known to be missing: what a gateway
// says every other second would be logged as often.
func (c *Client) noteDenied(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.denied[text] || len(c.denied) >= maxDenied {
		return false
	}
	if c.denied == nil {
		c.denied = map[string]bool{}
	}
	c.denied[text] = true
	return true
}
