package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Errors of a Client, beside StatusError and ErrEventTooLarge.
var (
	// ErrIdle: no byte came for as long as Client.IdleTimeout. Run tries again;
	// OnRetry is told.
	ErrIdle = errors.New("no byte within the idle timeout")
	// ErrNotEventStream: the server answered 200 with another content type. It is
	// final, as the standard says: this is not the server that was meant.
	ErrNotEventStream = errors.New("not an event stream")
	// ErrBadRequest: the client's fields make no request. It is final.
	ErrBadRequest = errors.New("cannot make the request")
)

// Defaults of a Client.
const (
	DefaultIdleTimeout = 45 * time.Second // three heartbeats of the gateway
	DefaultRetry       = 2 * time.Second
	DefaultBackoff     = 500 * time.Millisecond
	DefaultMaxBackoff  = 30 * time.Second
	DefaultStableAfter = 10 * time.Second
)

// Client follows an event stream across as many connections as it takes. Only URL
// must be set. Of a duration, zero means the default and a negative one none.
//
// A Client is not changed by Run and keeps nothing between runs. Its fields must
// not be changed while one is under way.
type Client struct {
	// URL of the stream, http or https.
	URL string
	// Method is GET by default. A redirect by 301, 302 or 303 turns any other into
	// GET and drops the body, as net/http does.
	Method string
	// Header is sent with every request. Accept, Cache-Control and Last-Event-ID
	// are the client's own.
	Header http.Header
	// Body is sent with every request.
	Body []byte
	// HTTP makes the requests; http.DefaultClient by default. A Timeout in it
	// would cut every stream at that age.
	HTTP *http.Client

	// LastEventID is the id to begin after; empty for none.
	LastEventID string
	// MaxEventSize bounds one event in bytes (see WithMaxEventSize).
	MaxEventSize int

	// IdleTimeout is how long a connection may bring no byte, from the request on,
	// before it is taken for dead. Time spent in the listener does not count.
	IdleTimeout time.Duration
	// Retry is the reconnection time until the server names one (retry:). Between
	// two attempts there is at least this time, or the Retry-After of a refusal
	// where that is longer, an hour at most; then a random part of the backoff.
	Retry time.Duration
	// Backoff is the backoff's first value. It doubles with every attempt up to
	// MaxBackoff, and is back at the first after a stream that lasted StableAfter:
	// were it so after every 200, a server that accepts and drops would be
	// hammered.
	Backoff     time.Duration
	MaxBackoff  time.Duration
	StableAfter time.Duration

	// OnRetry, where set, is called before each wait with the reason (io.EOF where
	// the server ended the stream) and its length, from within Run.
	OnRetry func(cause error, wait time.Duration)
	// OnComment, where set, is called with the text of each comment line (without
	// the colon), heartbeats included, from within Run and in order with the
	// messages. text is valid until it returns.
	OnComment func(text []byte)
	// Restart, where set, has each value that Run receives drop the connection, or
	// end the wait, and makes it connect again at once after the last id, whatever
	// the server asked for: for a caller who knows more, of a network that changed
	// or a token that was renewed. OnRetry is not called. Of several runs one gets
	// the value. It must not be closed during a run.
	Restart <-chan struct{}
}

// Run connects, hands each message to handle in order, from the calling goroutine,
// and reconnects after the last one's id for as long as it takes. It returns
//   - nil when the server answers 204: the stream is finished;
//   - handle's error as it is, at once;
//   - ctx.Err() when ctx is done, also while waiting;
//   - a *StatusError when the server refuses for good: any status but 200, 204,
//     408, 429 and 5xx, redirects having been followed;
//   - an error that wraps ErrNotEventStream, ErrEventTooLarge (it would come
//     again) or ErrBadRequest.
//
// Anything else (no connection, a cut, an end of the stream, silence, 408, 429,
// 5xx) is tried again. No goroutine and no connection in use is left behind.
//
// A gateway that tells its clients apart by their requests takes a GET of this
// client for a browser's EventSource. With another method it should be asked for
// bookmarks as blocks (bookmarks=block): this client takes an id over at the blank
// line only.
func (c *Client) Run(ctx context.Context, handle func(Message) error) error {
	r := run{Client: c.withDefaults(), handle: handle, lastEventID: c.LastEventID}
	r.reconnectionTime = r.Retry
	for {
		err := r.attempt(ctx)
		var final *finalError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.err
		case ctx.Err() != nil:
			return ctx.Err()
		case r.restarted:
			continue
		}
		if err := r.pause(ctx, err); err != nil {
			return err
		}
	}
}

func (c *Client) withDefaults() Client {
	d := *c
	if d.HTTP == nil {
		d.HTTP = http.DefaultClient
	}
	if d.Method == "" {
		d.Method = http.MethodGet
	}
	if d.MaxEventSize <= 0 {
		d.MaxEventSize = DefaultMaxEventSize
	}
	for _, o := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&d.IdleTimeout, DefaultIdleTimeout},
		{&d.Retry, DefaultRetry},
		{&d.Backoff, DefaultBackoff},
		{&d.MaxBackoff, DefaultMaxBackoff},
		{&d.StableAfter, DefaultStableAfter},
	} {
		if *o.value == 0 {
			*o.value = o.standard
		}
	}
	return d
}

// run is one call of Run.
type run struct {
	Client // with its defaults
	handle func(Message) error

	lastEventID      string
	reconnectionTime time.Duration
	failures         int  // attempts since the last stable stream
	restarted        bool // Restart had a value for the last attempt
}

// finalError marks an error that ends Run.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// attempt makes one request and reads its stream to the end. It returns nil when
// the stream is finished, and else why this attempt is over.
func (r *run) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(r.IdleTimeout, func() { cancel(ErrIdle) })
	defer dog.rest()
	defer r.watchRestart(ctx, cancel)()

	resp, err := r.request(ctx)
	if err != nil {
		return orIdle(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := checkResponse(resp); err != nil {
		return orIdle(ctx, err)
	}
	return orIdle(ctx, r.follow(&watchedReader{resp.Body, dog}))
}

// orIdle returns ErrIdle where the watchdog cancelled ctx, which is then the
// reason behind err, whatever the transport made of it; but not for a final error,
// which is not the connection's.
func orIdle(ctx context.Context, err error) error {
	var final *finalError
	if context.Cause(ctx) == ErrIdle && !errors.As(err, &final) {
		return ErrIdle
	}
	return err
}

func (r *run) request(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, &finalError{fmt.Errorf("%w: %w", ErrBadRequest, err)}
	}
	if s := req.URL.Scheme; s != "http" && s != "https" || req.URL.Host == "" {
		return nil, &finalError{fmt.Errorf("%w: %q is not an http or https URL", ErrBadRequest, r.URL)}
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Accept", ContentType)
	req.Header.Set("Cache-Control", "no-cache")
	req.Header.Del("Last-Event-ID")
	if r.lastEventID != "" {
		if strings.ContainsFunc(r.lastEventID, isControl) {
			return nil, &finalError{fmt.Errorf("%w: last event id %q does not fit into a header", ErrBadRequest, r.lastEventID)}
		}
		req.Header.Set("Last-Event-ID", r.lastEventID)
	}
	return r.HTTP.Do(req)
}

// isControl reports what net/http refuses in a header's value.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// checkResponse returns nil for an event stream.
func checkResponse(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	contentType := resp.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || mediaType != ContentType {
		return &finalError{fmt.Errorf("%w: the content type is %q", ErrNotEventStream, contentType)}
	}
	return nil
}

// follow reads one stream until it ends, which it always does with an error.
func (r *run) follow(body io.Reader) error {
	opened := time.Now()
	d := NewDecoder(body, WithLastEventID(r.lastEventID), WithMaxEventSize(r.MaxEventSize), WithComments(r.OnComment))
	err := r.handleAll(d)
	r.lastEventID = d.LastEventID()
	if wait, ok := d.Retry(); ok {
		r.reconnectionTime = wait
	}
	if time.Since(opened) >= r.StableAfter {
		r.failures = 0
	}
	return err
}

func (r *run) handleAll(d *Decoder) error {
	for {
		m, err := d.Next()
		if errors.Is(err, ErrEventTooLarge) {
			return &finalError{err}
		}
		if err != nil {
			return err
		}
		if err := r.handle(m); err != nil {
			return &finalError{err}
		}
	}
}
