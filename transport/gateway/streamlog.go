package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"ringcast/broker"
)

// Why a stream ended, as the log says it.
const (
	endLeft         = "the client left"
	endFinished     = "its subjects have ended"
	endDrain        = "the gateway shuts down"
	endExpired      = "its token has expired"
	endRevoked      = "its token's key was revoked"
	endLifetime     = "it has lasted for the stream lifetime"
	endWriteTimeout = "the client has not read for the write time-out"
)

// streamLog writes two lines for a stream, when it is opened and when it has ended.
// Nil writes none, and that is what streams have while nobody would read the lines: an
// idle stream is to cost little.
type streamLog struct {
	log    *slog.Logger // which knows the request
	opened time.Time
	sent   sent
	// why is the first reason that was given for the end.
	why atomic.Pointer[string]
}

// noteOpened ends the span of the request that a stream answers, which would else last
// as long as the stream, and logs the stream, unless debug lines are not wanted.
func (s *Server) noteOpened(c echo.Context) *streamLog {
	endSpan(trace.SpanFromContext(c.Request().Context()), http.StatusOK)
	if !s.opts.Logger.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	l := &streamLog{log: slog.New(s.opts.Logger.Handler().WithAttrs(describeRequest(c))), opened: time.Now()}
	l.log.Debug("stream opened")
	return l
}

// add counts what was sent.
func (l *streamLog) add(events, bytes int) {
	if l != nil {
		l.sent.add(events, bytes)
	}
}

// because says why the stream is about to end. The first reason counts: what comes
// after it may only follow from it.
func (l *streamLog) because(why string) {
	if l != nil {
		l.why.CompareAndSwap(nil, &why)
	}
}

// end is called once. A stream that ends without a reason has been left by its client.
func (l *streamLog) end() {
	if l == nil {
		return
	}
	l.because(endLeft)
	l.log.Debug("stream ended", "why", *l.why.Load(), "took", time.Since(l.opened),
		"events", l.sent.events.Load(), "bytes", l.sent.bytes.Load())
}

// whyEnded returns what the log says of a stream on l that err has ended.
func (s *Server) whyEnded(err error, l *lease) string {
	switch {
	case err == nil, errors.Is(err, errFinished):
		return endFinished
	case errors.Is(err, errOver):
		return s.whyOver(l)
	case errors.Is(err, errDraining), s.Draining():
		return endDrain
	case errors.Is(err, errWriteTimeout):
		return endWriteTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return endLeft
	}
	return err.Error()
}

// whyOver returns why a lease is over.
func (s *Server) whyOver(l *lease) string {
	switch {
	case s.Draining():
		return endDrain
	case s.opts.Access.Revoked(l.client):
		return endRevoked
	case !l.client.Expires.IsZero() && time.Until(l.client.Expires) < time.Second: // two clocks are compared
		return endExpired
	}
	return endLifetime
}

// traceDelivery makes the spans of those of the events, written since then, that are
// traced and that no client had before.
func (s *Server) traceDelivery(events []*broker.Delivery, since time.Duration) {
	if s.opts.Tracing != nil {
		s.opts.Tracing.Delivered(events, s.born.Add(since))
	}
}
