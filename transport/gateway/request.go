package gateway

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"ringcast/transport/sse"
)

const (
	headerRequestID   = "X-Request-Id"
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"

	// maxRequestID bounds an id that a client gives, in bytes.
	maxRequestID = 128
	// maxLoggedPath bounds what a log line repeats of a request, in bytes.
	maxLoggedPath = 256
)

// observe gives a request an id, and a span where it is of the API; when it is done it
// logs the one and ends the other. It answers what the handlers return as an error, to
// know how that ended.
//
// What it logs of a request is its path, never the query, in which a ticket may stand,
// nor a header.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := s.clock()
		c.Response().Header().Set(headerRequestID, requestID(c.Request().Header.Get(headerRequestID)))
		if strings.HasPrefix(c.Path(), "/v1/") {
			// Not otelhttp: its span, and its histogram of durations, would last as long
			// as a stream does.
			ctx, span := s.opts.Tracing.StartRequest(c.Request(), c.Path())
			if ctx != c.Request().Context() {
				c.SetRequest(c.Request().WithContext(ctx))
			}
			defer func() { endSpan(span, c.Response().Status) }()
		}
		defer func() { s.logRequest(c, s.clock()-began) }() // also of a handler that panics to cut a connection
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

// requestID returns the id that a client gives its request, where it can be repeated
// anywhere: visible ASCII. Otherwise it returns a new one.
func requestID(given string) string {
	if given == "" || len(given) > maxRequestID || strings.ContainsFunc(given, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return rand.Text()
	}
	return given
}

// requestIDOf returns the id of the request that w answers.
func requestIDOf(w http.ResponseWriter) string { return w.Header().Get(headerRequestID) }

// endSpan ends the span of a request. It does nothing to one that has ended before.
func endSpan(span trace.Span, status int) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError { // a client's mistakes are not the server's
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

// logRequest writes the line of a request that is done: at debug, or at info where the
// gateway failed it, for as long as there are not too many of these. Streams have lines
// of their own.
func (s *Server) logRequest(c echo.Context, took time.Duration) {
	res := c.Response()
	level := slog.LevelDebug
	if res.Status >= http.StatusInternalServerError && s.limits.failureLines.Allow() {
		level = slog.LevelInfo
	}
	if isStream(res) || !s.opts.Logger.Enabled(context.Background(), level) {
		return
	}
	attrs := append(describeRequest(c), slog.Int("status", res.Status), slog.Int64("bytes", res.Size), slog.Duration("took", took))
	if !res.Committed {
		attrs = append(attrs, slog.Bool("client_left", true)) // before there was an answer
	}
	s.opts.Logger.LogAttrs(context.Background(), level, "request", attrs...)
}

// describeRequest returns what a log line says about a request.
func describeRequest(c echo.Context) []slog.Attr {
	r := c.Request()
	attrs := []slog.Attr{
		slog.String("request", requestIDOf(c.Response())),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path[:min(len(r.URL.Path), maxLoggedPath)]),
		slog.String("remote", c.RealIP()),
	}
	if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	return attrs
}

// isStream reports whether an answer is a stream that was opened.
func isStream(res *echo.Response) bool {
	return res.Committed && res.Header().Get(echo.HeaderContentType) == sse.ContentType
}
