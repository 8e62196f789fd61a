package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"ringcast/transport/sse"
)

// getMetrics is GET /metrics, an operator's call: Options.Metrics answers.
func (s *Server) getMetrics(c echo.Context) error {
	if err := s.mayAdmin(c, "metrics"); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	s.opts.Metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}

// Figures is what a Server shows besides Counters, for metrics.
type Figures struct {
	// Streams are the streams open, by all formats and carriers there are.
	Streams []OpenStreams
	// CatchingUp is how many of those on connections taken over have a goroutine of
	// their own at the moment: they begin, wait for the disk or the history, or for
	// their client.
	CatchingUp int
	// Seats is how much of Limits.Streams, which is MaxSeats, is taken.
	Seats, MaxSeats int
	// Problems counts the answers with a problem by their status; "other" stands for
	// those that are not in PROTOCOL.md.
	Problems map[string]uint64
}

// OpenStreams is how many streams of one kind are open.
type OpenStreams struct {
	Format  string
	Carrier string // taken_over or net_http
	Open    int64
}

// Figures returns what there is at the moment.
func (s *Server) Figures() Figures {
	f := Figures{Streams: s.open.list(), Seats: s.limits.taken(), MaxSeats: s.limits.Streams, Problems: s.problems.counters()}
	for _, sh := range s.shards {
		f.CatchingUp += sh.catchingUp()
	}
	return f
}

// carrier is what brings a stream to its client.
type carrier int

const (
	takenOver carrier = iota // the connection itself
	netHTTP
)

var carriers = [...]string{takenOver: "taken_over", netHTTP: "net_http"}

// open counts the streams that are open.
type open [len(carriers)][formats]atomic.Int64

func (o *open) add(c carrier, enc *encoding, n int64) { o[c][enc.number%formats].Add(n) }

func (o *open) total() (n int64) {
	for _, s := range o.list() {
		n += s.Open
	}
	return n
}

func (o *open) list() (all []OpenStreams) {
	for c := range o {
		for f := range o[c] {
			all = append(all, OpenStreams{Format: sse.Format(f).String(), Carrier: carriers[c], Open: o[c][f].Load()})
		}
	}
	return all
}

// problemStatuses are those of PROTOCOL.md, and that of a mistake of the gateway's own.
var problemStatuses = [...]int{400, 401, 403, 404, 413, 415, 429, 500, 503}

// problems counts answers with a problem: by problemStatuses, and last all others.
type problems [len(problemStatuses) + 1]atomic.Uint64

func (p *problems) add(status int) {
	i := slices.Index(problemStatuses[:], status)
	if i < 0 {
		i = len(problemStatuses)
	}
	p[i].Add(1)
}

func (p *problems) counters() map[string]uint64 {
	all := map[string]uint64{"other": p[len(problemStatuses)].Load()}
	for i, status := range problemStatuses {
		all[strconv.Itoa(status)] = p[i].Load()
	}
	return all
}

// countProblems counts what handle, which answers with a problem unless something was
// answered before, has answered.
func (s *Server) countProblems(handle echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		before := c.Response().Committed
		handle(err, c)
		if before || !c.Response().Committed {
			return
		}
		status := c.Response().Status
		s.problems.add(status)
		if status == http.StatusRequestEntityTooLarge {
			s.limits.refused.bodySize.Add(1)
		}
	}
}
