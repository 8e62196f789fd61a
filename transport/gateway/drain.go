package gateway

import (
	"context"
	"time"
)

const (
	// drainTick is how often streams are looked at whose turn to be cut may have come.
	drainTick = 20 * time.Millisecond
	// drainRate is how many streams a second are cut at least: a gateway with a few
	// clients is not to take its whole drain time. All that it cuts come back to others,
	// which resume them thousands a second.
	drainRate = 200
)

// turns is the time in which the streams of a gateway that drains are cut, on the
// server's clock. Each has its turn somewhere in it, by chance, so that not all come
// back to the other gateways at once.
type turns struct{ begin, length time.Duration }

// passed reports whether the turn, a part of math.MaxUint16, has passed.
func (t *turns) passed(turn uint16, now time.Duration) bool {
	return t != nil && now-t.begin >= t.length*time.Duration(turn)>>16
}

// drainStreams cuts the streams that there are, one after the other, and returns when
// they are gone or the drain time is over. Requests are still answered, and new streams
// opened, which are cut when it is over: who balances the load may go on sending clients
// for a while, and one that is refused would not come back.
func (s *Server) drainStreams(ctx context.Context) {
	length := min(s.opts.DrainTime, time.Duration(s.open.total())*time.Second/drainRate)
	s.turns.Store(&turns{begin: s.clock(), length: length})
	close(s.drain)
	s.http.SetKeepAlivesEnabled(false) // who asks again does so of another
	over := time.NewTimer(length)
	defer over.Stop()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for s.open.total() > 0 {
		select {
		case <-tick.C:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Draining reports whether Shutdown was called: the gateway is to get no more clients.
func (s *Server) Draining() bool { return isClosed(s.drain) }

// cutting reports whether the streams that are left are cut at once.
func (s *Server) cutting() bool { return isClosed(s.cut) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
