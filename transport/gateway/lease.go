package gateway

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"ringcast/transport/access"
)

// errOver ends a stream whose time is over.
var errOver = errors.New("the stream's time is over")

// lease is what a client has its stream on: a seat among the streams, until its token
// expires or is revoked, and no longer than streams last. The client is then cut off so
// that it comes back, with a new token if it has to.
type lease struct {
	seat
	client *access.Identity
	// address is where it is from, and since when it was asked for, on the server's clock.
	address netip.Addr
	since   time.Duration
	// until is when the lease is over, on the server's clock; 0: never.
	until time.Duration
	// turn is when it is over at a drain; see turns.
	turn uint16
}

func (s *Server) newLease(req streamRequest) lease {
	client := req.client
	l := lease{seat: req.seat, client: client, address: req.address, since: s.clock(), turn: uint16(rand.N(1 << 16))}
	if s.Draining() {
		l.turn = math.MaxUint16 // not before the others have gone
	}
	if lifetime := s.opts.StreamLifetime; lifetime > 0 {
		l.until = s.clock() + lifetime - rand.N(lifetime/10+1)
	}
	if !client.Expires.IsZero() {
		expires := s.clock() + time.Until(client.Expires)
		if l.until == 0 || expires < l.until {
			l.until = max(expires, 1)
		}
	}
	return l
}

// over reports whether the lease has ended.
func (s *Server) over(l *lease, now time.Duration) bool {
	return l.until > 0 && now >= l.until || s.turns.Load().passed(l.turn, now) || s.opts.Access.Revoked(l.client)
}
