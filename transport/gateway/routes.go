package gateway

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// routes lists everything the gateway answers.
func (s *Server) routes(e *echo.Echo) {
	e.Use(s.observe)
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}))
	e.Use(s.guardOrigins()...)
	e.Use(s.cors()...)
	e.Use(s.deadlines)

	e.GET("/v1/stream", s.getStream)
	e.POST("/v1/stream", s.postStream)
	e.POST("/v1/tickets", s.postTicket)
	e.POST("/v1/publish/:subject", s.postPublish)
	e.POST("/v1/ask/:subject", s.postAsk)
	e.GET("/v1/ask/:id", s.getAsk)
	e.DELETE("/v1/ask/:id", s.deleteAsk)
	e.GET("/v1/presence", s.getPresence)
	e.GET("/v1/status", s.getStatus)
	e.GET("/v1/subscriptions", s.getSubscriptions)
	e.GET("/metrics", s.getMetrics)
	e.Any("/v1/*", s.notFound)

	e.Match(getOrHead, "/healthz", s.getHealthz)
	e.Match(getOrHead, "/readyz", s.getReadyz)

	e.Match(getOrHead, "/*", echo.WrapHandler(s.opts.Pages))
}

// getOrHead are the methods of what monitors ask for too, many of them without the body.
var getOrHead = []string{http.MethodGet, http.MethodHead}
