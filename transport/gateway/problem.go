package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/ask"
)

// problem is the body of every refusal (RFC 9457).
type problem struct {
	// Type is "about:blank": the status code says what kind of problem it is
	// (RFC 9457, section 4.2.1).
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Instance names this one refusal: what was reported by a user is found in the log.
	Instance string `json:"instance,omitempty"`
	// Reason says in a word why a question has no answer (see package ask).
	Reason ask.Reason `json:"reason,omitempty"`
	// Errors names what was wrong with the request, a parameter each.
	Errors []fieldError `json:"errors,omitempty"`
}

// fieldError says what is wrong with one parameter, header or member of a body.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// badRequest collects what is wrong with a request.
type badRequest []fieldError

func (b *badRequest) add(field string, err error) {
	if err != nil {
		*b = append(*b, fieldError{Field: field, Detail: err.Error()})
	}
}

// err returns nil when nothing was added.
func (b badRequest) err() error {
	if len(b) == 0 {
		return nil
	}
	return b
}

func (b badRequest) Error() string {
	parts := make([]string, len(b))
	for i, e := range b {
		parts[i] = e.Field + ": " + e.Detail
	}
	return strings.Join(parts, "; ")
}

// retryAfter is what a client is told to wait when the gateway cannot serve it.
const retryAfter = 2 * time.Second

// statuses maps the errors of the packages behind the gateway to HTTP. The first
// that matches counts.
var statuses = []struct {
	err    error
	status int
	// retry is after which time the request may be repeated as it is; 0: it need not be.
	retry time.Duration
}{
	{access.ErrToken, http.StatusUnauthorized, 0},
	{access.ErrCallout, http.StatusServiceUnavailable, retryAfter},
	{access.ErrNoKeys, http.StatusServiceUnavailable, retryAfter},
	{ask.ErrUnknown, http.StatusNotFound, 0},
	{ask.ErrOtherQuestion, http.StatusUnprocessableEntity, 0},
	{ask.ErrInterrupted, http.StatusServiceUnavailable, retryAfter},
	{broker.ErrTooMany, http.StatusBadRequest, 0},
	{broker.ErrTooLarge, http.StatusRequestEntityTooLarge, 0},
	{broker.ErrNoStream, http.StatusServiceUnavailable, retryAfter},
	{broker.ErrOverloaded, http.StatusServiceUnavailable, retryAfter},
	{broker.ErrUnavailable, http.StatusServiceUnavailable, retryAfter},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, retryAfter},
	{context.Canceled, http.StatusServiceUnavailable, retryAfter}, // by something behind: of a client that has left there is no answer
}

// problemOf returns what a client is told about err, and after which time it may try
// again, if it may.
func problemOf(err error) (p problem, retry time.Duration) {
	p = problem{Type: "about:blank", Status: http.StatusInternalServerError}
	var (
		bad      badRequest
		echoErr  *echo.HTTPError
		tooLarge *http.MaxBytesError
		denied   *access.DeniedError
		limit    *limitError
		refused  *access.RefusedError
		failure  *ask.Failure
	)
	switch {
	case errors.As(err, &bad):
		p.Status, p.Detail, p.Errors = http.StatusBadRequest, bad.Error(), bad
	case errors.As(err, &tooLarge):
		p.Status = http.StatusRequestEntityTooLarge
		p.Detail = "the body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"
	case errors.As(err, &denied):
		p.Status, p.Detail = http.StatusForbidden, denied.Error()
		if denied.Anonymous {
			p.Status = http.StatusUnauthorized
		}
	case errors.As(err, &refused):
		p.Status, p.Detail = http.StatusForbidden, refused.Error()
	case errors.As(err, &failure):
		p.Status, p.Detail, p.Reason = failure.Status, failure.Detail, failure.Reason
		if failure.Reason == ask.NoWorker {
			retry = retryAfter
		}
	case errors.As(err, &limit):
		p.Status, p.Detail, retry = limit.status, limit.detail, limit.after
	case errors.As(err, &echoErr):
		p.Status = echoErr.Code
		if text, ok := echoErr.Message.(string); ok && text != http.StatusText(echoErr.Code) {
			p.Detail = text
		}
	default:
		for _, s := range statuses {
			if errors.Is(err, s.err) {
				p.Status, p.Detail, retry = s.status, err.Error(), s.retry
				break
			}
		}
	}
	p.Title = http.StatusText(p.Status)
	return p, retry
}

// handleError answers a request whose handler returned an error before it wrote
// anything.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		s.opts.Logger.Debug("request failed after its headers", "request", requestIDOf(c.Response()), "path", c.Path(), "err", err)
		return
	}
	if c.Request().Context().Err() != nil {
		return // nobody is there to read an answer
	}
	if failure := (*ask.Failure)(nil); errors.As(err, &failure) && failure.Reply != nil {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		_ = c.JSONBlob(failure.Status, failure.Reply) // fails only with the connection
		return
	}
	p, retry := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		// The cause is for the log: it may name files and addresses.
		s.opts.Logger.Error("request failed", "request", requestIDOf(c.Response()), "method", c.Request().Method, "path", c.Path(), "err", err)
	}
	if p.Status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge(err))
	}
	if retry > 0 {
		// Whole seconds (RFC 9110, section 10.2.3), and not too early.
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(retry.Seconds()))))
	}
	writeProblem(c.Response(), p)
}

// challenge is what a 401 has to come with (RFC 6750, section 3): a code where there
// was a token, none where there was not.
func challenge(err error) string {
	if errors.Is(err, access.ErrToken) {
		return `Bearer error="invalid_token"`
	}
	return "Bearer"
}

func writeProblem(w http.ResponseWriter, p problem) {
	w.Header().Set(echo.HeaderContentType, "application/problem+json")
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	p.Instance = "urn:ringcast:request:" + url.PathEscape(requestIDOf(w))
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // events.> is easier to read so, and this is no HTML
	_ = enc.Encode(p)        // fails only with the connection
}

func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	s.opts.Logger.Error("handler panicked", "request", requestIDOf(c.Response()), "path", c.Path(), "err", err, "stack", string(stack))
	return err
}

// notFound answers what lies under /v1/ and is no route.
func (s *Server) notFound(echo.Context) error {
	return echo.NewHTTPError(http.StatusNotFound, "there is no such call, or not with this method")
}
