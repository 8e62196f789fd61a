package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"ringcast/transport/worker"
)

const anyOrigin = "*"

// Headers of Ringcast's own requests (PROTOCOL.md, "Publish").
const (
	headerEvent       = "Ringcast-Event"
	headerEnd         = "Ringcast-End"
	headerIdempotency = "Idempotency-Key"
	headerLastEventID = "Last-Event-ID"
)

// cors lets pages of the configured origins read answers. Cookies go with it only
// for origins that are named: the Fetch standard forbids * with credentials.
func (s *Server) cors() []echo.MiddlewareFunc {
	if len(s.opts.CORSOrigins) == 0 {
		return nil
	}
	config := middleware.CORSConfig{
		AllowMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowHeaders: []string{
			headerLastEventID, echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderCacheControl,
			headerEvent, headerEnd, headerIdempotency, headerPrefer, headerRequestID, headerTraceparent, headerTracestate,
		},
		ExposeHeaders: []string{echo.HeaderRetryAfter, echo.HeaderLocation, worker.HeaderID, headerPreferenceApplied, headerRequestID},
		MaxAge:        600,
	}
	if slices.Contains(s.opts.CORSOrigins, anyOrigin) {
		config.AllowOrigins = []string{anyOrigin}
	} else {
		config.AllowCredentials = true
		config.AllowOriginFunc = func(origin string) (bool, error) { return s.allowsOrigin(origin), nil }
	}
	return []echo.MiddlewareFunc{middleware.CORSWithConfig(config)}
}

// allowsOrigin reports whether the origin is among those configured, or of a subdomain
// that one of them stands for: https://*.example.com.
func (s *Server) allowsOrigin(origin string) bool {
	return slices.ContainsFunc(s.opts.CORSOrigins, func(allowed string) bool {
		before, after, wildcard := strings.Cut(allowed, "*")
		if !wildcard {
			return origin == allowed
		}
		rest, ok := strings.CutPrefix(origin, before)
		subdomain, found := strings.CutSuffix(rest, after)
		return ok && found && subdomain != "" && isHostname(subdomain)
	})
}

// isHostname reports whether the text can stand before a domain, and nowhere else in
// a URL.
func isHostname(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	})
}

// guardOrigins refuses what a browser sends across origins unasked: a page
// anywhere may POST to a gateway on its reader's own machine, and CORS only keeps
// it from reading the answer.
func (s *Server) guardOrigins() []echo.MiddlewareFunc {
	if slices.Contains(s.opts.CORSOrigins, anyOrigin) {
		return nil
	}
	guard := http.NewCrossOriginProtection()
	return []echo.MiddlewareFunc{func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			origin := c.Request().Header.Get(echo.HeaderOrigin)
			if !s.allowsOrigin(origin) && guard.Check(c.Request()) != nil {
				return echo.NewHTTPError(http.StatusForbidden,
					"a page of origin "+origin+" may not send this: the origin is not among cors-origins")
			}
			return next(c)
		}
	}}
}
