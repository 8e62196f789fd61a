package gateway

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/presence"
)

const (
	defaultMembers = 1000
	maxMembers     = 10_000
)

// presenceAnswer is the answer of getPresence.
type presenceAnswer struct {
	Subject string `json:"subject"`
	// Count is how many there are, and Present the first of them by name.
	Count   int               `json:"count"`
	Present []presence.Member `json:"present"`
	// LastEventID is the position after which the events of presence go on from this.
	LastEventID broker.ID `json:"last_event_id"`
}

// getPresence is GET /v1/presence: who is on a subject.
func (s *Server) getPresence(c echo.Context) error {
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	if s.opts.Presence == nil {
		return echo.NewHTTPError(http.StatusNotFound, "this gateway tells of no presence")
	}
	subject, limit, err := s.parsePresence(c.QueryParams())
	if err != nil {
		return err
	}
	f, err := broker.NewFilter([]string{broker.PresenceSubject(subject)}, nil)
	if err != nil {
		return badRequest{{Field: "subject", Detail: err.Error()}}
	}
	if err := s.opts.Access.MaySubscribe(c.Request().Context(), id, c.RealIP(), f); err != nil {
		return err
	}
	room, ok := s.opts.Presence.Room(subject)
	if !ok {
		return fmt.Errorf("the events of presence are still being read: %w", broker.ErrUnavailable)
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusOK, presenceAnswer{
		Subject: subject, Count: len(room.Present), Present: room.Present[:min(len(room.Present), limit)], LastEventID: room.At,
	})
}

func (s *Server) parsePresence(query url.Values) (subject string, limit int, err error) {
	limit = defaultMembers
	var bad badRequest
	for name := range query {
		var err error
		switch name {
		case "subject":
		case "limit":
			limit, err = parseCount(query.Get(name), maxMembers)
		default:
			err = fmt.Errorf("is no parameter: there are subject, limit")
		}
		bad.add(name, err)
	}
	subject = query.Get("subject")
	if err := broker.ValidateSubject(subject); err != nil {
		bad.add("subject", err)
	} else if !s.opts.Presence.Tracks(subject) {
		bad.add("subject", fmt.Errorf("subject %q is none whose presence is told", subject))
	}
	return subject, limit, bad.err()
}
