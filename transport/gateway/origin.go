package gateway

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
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
	return []echo.MiddlewareFunc{middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: s.opts.CORSOrigins,
		AllowMethods: []string{http.MethodGet, http.MethodPost},
		AllowHeaders: []string{
			headerLastEventID, echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderCacheControl,
			headerEvent, headerEnd, headerIdempotency,
		},
		ExposeHeaders:    []string{echo.HeaderRetryAfter, echo.HeaderLocation},
		AllowCredentials: !slices.Contains(s.opts.CORSOrigins, anyOrigin),
		MaxAge:           600,
	})}
}

// guardOrigins refuses what a browser sends across origins unasked: a page
// anywhere may POST to a gateway on its reader's own machine, and CORS only keeps
// it from reading the answer.
func (s *Server) guardOrigins(next http.Handler) http.Handler {
	if slices.Contains(s.opts.CORSOrigins, anyOrigin) {
		return next
	}
	guard := http.NewCrossOriginProtection()
	for _, origin := range s.opts.CORSOrigins {
		if err := guard.AddTrustedOrigin(origin); err != nil {
			s.opts.Logger.Error("origin is not trusted", "origin", origin, "err", err)
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem{
			Type:   "about:blank",
			Title:  http.StatusText(http.StatusForbidden),
			Status: http.StatusForbidden,
			Detail: "a page of origin " + r.Header.Get(echo.HeaderOrigin) + " may not send this: the origin is not among cors-origins",
		})
	}))
	return guard.Handler(next)
}
