package gateway

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
)

// Status is the state of one gateway, as /v1/status shows it.
type Status struct {
	// Time is when this was read, and Started when the gateway began to count: their
	// difference is that of a clock that is never set.
	Time     time.Time `json:"time"`
	Started  time.Time `json:"started"`
	Version  string    `json:"version"`
	Stream   string    `json:"stream"`
	Subjects []string  `json:"subjects"`
	// HeadID is the newest event this gateway can deliver.
	HeadID broker.ID  `json:"head_id"`
	Ring   RingStatus `json:"ring"`
	NATS   NATSStatus `json:"nats"`
	// Streams is the number of Server-Sent Events streams open.
	Streams  int64    `json:"streams"`
	Counters Counters `json:"counters"`
}

// RingStatus is the state of the local log.
type RingStatus struct {
	// Oldest and Newest are the ids of the events at its ends; absent when empty.
	Oldest *broker.ID `json:"oldest"`
	Newest *broker.ID `json:"newest"`
	Events int        `json:"events"`
	// Bytes is what the events count for against the limit, FileBytes the file.
	Bytes     int64 `json:"bytes"`
	FileBytes int64 `json:"file_bytes"`
	// MaxEvents, MaxBytes and MaxAge, in seconds, are the limits.
	MaxEvents int     `json:"max_events"`
	MaxBytes  int64   `json:"max_bytes"`
	MaxAge    float64 `json:"max_age_seconds"`
}

// NATSStatus is the state of the connection to the stream.
type NATSStatus struct {
	Connected bool `json:"connected"`
	// URL has no credentials.
	URL string `json:"url"`
	// Lag is how many events of the stream the ring has yet to take in, as of the
	// last look at the stream.
	Lag uint64 `json:"lag"`
	// CaughtUp reports that the ring has been level with the stream since the
	// gateway started. It is false while nothing can come of that: of a mirror that does
	// not hold what its origin does.
	CaughtUp bool `json:"caught_up"`
	// Error is why there is no connection, or why the stream cannot be read.
	Error string `json:"error,omitempty"`
}

// getStatus is GET /v1/status, an operator's call.
func (s *Server) getStatus(c echo.Context) error {
	if err := s.mayAdmin(c, "status"); err != nil {
		return err
	}
	status := s.opts.Status()
	status.Stream, status.Subjects = s.opts.Stream, s.opts.Subjects
	status.HeadID = s.opts.Hub.Head()
	status.Streams = s.open.total()
	status.Counters = s.Counters()
	status.Started = s.born.UTC()
	status.Time = status.Started.Add(s.clock())
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusOK, status)
}

// mayAdmin returns nil where who makes the request is granted an operator's call.
func (s *Server) mayAdmin(c echo.Context, call string) error {
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	return id.MayAdmin(call)
}
