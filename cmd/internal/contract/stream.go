package contract

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// parameters are the body of POST /. The harness sends null for a number that it
// does not set. No number exceeds 49 days, nor is it negative.
type parameters struct {
	StreamURL      string            `json:"streamUrl"`
	CallbackURL    string            `json:"callbackUrl"`
	Tag            string            `json:"tag"`
	InitialDelayMS *uint32           `json:"initialDelayMs"`
	ReadTimeoutMS  *uint32           `json:"readTimeoutMs"`
	LastEventID    string            `json:"lastEventId"`
	Method         string            `json:"method"`
	Headers        map[string]string `json:"headers"`
	Body           string            `json:"body"`
}

func (p parameters) check() error {
	for _, u := range []struct{ name, value string }{{"streamUrl", p.StreamURL}, {"callbackUrl", p.CallbackURL}} {
		parsed, err := url.Parse(u.value)
		if err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
		if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			return fmt.Errorf("%s: %q is not an http or https URL", u.name, u.value)
		}
	}
	return nil
}

// client returns the client that the parameters ask for. The initial delay is the
// standard's reconnection time; the backoff on top of it stays as it is.
func (p parameters) client() *sse.Client {
	c := &sse.Client{
		URL:         p.StreamURL,
		Method:      p.Method,
		Header:      http.Header{},
		Body:        []byte(p.Body),
		LastEventID: p.LastEventID,
		IdleTimeout: duration(p.ReadTimeoutMS),
		Retry:       duration(p.InitialDelayMS),
	}
	for name, value := range p.Headers {
		c.Header.Set(name, value)
	}
	return c
}

// duration returns a duration as sse.Client takes it: zero for its default, and
// less for none.
func duration(ms *uint32) time.Duration {
	switch {
	case ms == nil:
		return 0
	case *ms == 0:
		return -1
	}
	return time.Duration(*ms) * time.Millisecond
}

// stream is one client under way.
type stream struct {
	callbacks callbacks // of the client's goroutine
	log       *slog.Logger
	restart   chan struct{} // of capacity 1: who asks twice at once gets one
	cancel    context.CancelFunc
	done      chan struct{} // closed by run

	mu    sync.Mutex // guards types; nothing is awaited under it
	types map[string]bool
}

func startStream(p parameters, h *http.Client, log *slog.Logger) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{
		callbacks: callbacks{url: p.CallbackURL, http: h, log: log},
		log:       log,
		restart:   make(chan struct{}, 1),
		cancel:    cancel,
		done:      make(chan struct{}),
		types:     map[string]bool{broker.DefaultType: true},
	}
	client := p.client()
	client.HTTP = h
	client.Restart = s.restart
	client.OnComment = func(text []byte) { s.callbacks.comment(ctx, string(text)) }
	client.OnRetry = func(cause error, _ time.Duration) { s.callbacks.error(ctx, cause) }
	go s.run(ctx, client)
	return s
}

// run reports until the client ends: an end by 204 is none that the protocol has a
// report for.
func (s *stream) run(ctx context.Context, client *sse.Client) {
	defer close(s.done)
	err := client.Run(ctx, func(m sse.Message) error {
		if s.listens(m.Type) {
			s.callbacks.event(ctx, m)
		}
		return nil
	})
	if err != nil {
		s.callbacks.error(ctx, err)
	}
	s.log.Info("stream ended", "error", err)
}

func (s *stream) listens(typ string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.types[typ]
}

// obey does what a command says.
func (s *stream) obey(c command) error {
	switch c.Command {
	case "restart":
		select {
		case s.restart <- struct{}{}:
		default:
		}
		return nil
	case "listen":
		if c.Listen == nil {
			return errNoType
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.types[c.Listen.Type] = true
		return nil
	}
	return fmt.Errorf("%q is unknown", c.Command)
}

// close ends the client and waits until it has ended.
func (s *stream) close() {
	s.cancel()
	<-s.done
}
