package gateway

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// deadlines bounds the time in which a request's body is read and its answer
// written. A stream lifts both bounds (see serveResponse and takeOver) and sets its own at each
// write; a long poll moves them on.
func (s *Server) deadlines(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		end := time.Now().Add(s.opts.WriteTimeout)
		rc := http.NewResponseController(c.Response())
		if err := rc.SetReadDeadline(end); err != nil {
			return err
		}
		if err := rc.SetWriteDeadline(end); err != nil {
			return err
		}
		return next(c)
	}
}
