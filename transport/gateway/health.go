package gateway

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// getHealthz is GET /healthz: the process answers. It does not look at NATS: to
// restart a gateway does not bring NATS back.
func (s *Server) getHealthz(c echo.Context) error {
	return c.String(http.StatusOK, "ok\n")
}

// getReadyz is GET /readyz: 200 when new clients are served as they should be,
// otherwise 503 with the reasons.
func (s *Server) getReadyz(c echo.Context) error {
	reasons := s.unready()
	answer := struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons,omitempty"`
	}{len(reasons) == 0, reasons}
	if !answer.Ready {
		return c.JSON(http.StatusServiceUnavailable, answer)
	}
	return c.JSON(http.StatusOK, answer)
}

// unready returns what keeps the gateway from being ready.
func (s *Server) unready() []string {
	var reasons []string
	if s.Draining() {
		reasons = append(reasons, "shutting down")
	}
	nats := s.opts.Status().NATS
	switch {
	case !nats.Connected:
		reason := "not connected to NATS"
		if nats.Error != "" {
			reason += ": " + nats.Error
		}
		reasons = append(reasons, reason)
	case !nats.CaughtUp:
		reason := "the ring has not caught up with the stream"
		if nats.Error != "" {
			reason += ": " + nats.Error
		}
		reasons = append(reasons, reason)
	}
	if err := s.opts.Access.Ready(); err != nil {
		// Not why: it may name internal addresses.
		reasons = append(reasons, "the keys that tokens are verified with cannot be read")
	}
	return reasons
}
