package gateway

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
)

// A ticket is the parameters of a stream, signed, in a URL that opens it: for a
// native EventSource, which can send neither a header nor a body. It holds
// everything itself, so that any gateway with the same key takes it.
const (
	// minTicketKey is the length of a key in bytes below which HMAC-SHA256 would be
	// weaker than its hash (RFC 7518, section 3.2).
	minTicketKey = 32
	// maxTicket bounds a ticket in bytes, so that its URL passes through proxies and
	// browsers.
	maxTicket = 6 << 10
	// ticketUse keeps a token that the same key has signed for something else from
	// being taken for a ticket.
	ticketUse = "ringcast.stream"
)

// ticketClaims are what a ticket says.
type ticketClaims struct {
	jwt.RegisteredClaims
	Stream streamParams `json:"stream"`
	// Until is when the token expires that the ticket was asked for with: the end of
	// the streams that it opens.
	Until *jwt.NumericDate `json:"until,omitempty"`
}

// ticketAnswer is the answer of postTicket.
type ticketAnswer struct {
	// URL is relative to the gateway's own.
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// postTicket is POST /v1/tickets: it answers with a URL that opens the stream of
// the parameters in the body, until it expires.
func (s *Server) postTicket(c echo.Context) error {
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	raw, err := bodyParams(c)
	if err != nil {
		return err
	}
	req, err := raw.request(time.Now(), s.opts.Subjects)
	if err != nil {
		return err // rather now than when it is used
	}
	if err := s.opts.Access.MaySubscribe(c.Request().Context(), id, c.RealIP(), req.Filter); err != nil {
		return err
	}
	ticket, err := s.newTicket(raw, id)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusOK, ticket)
}

// newTicket returns a URL that opens the stream of the parameters, for id.
func (s *Server) newTicket(raw streamParams, id *access.Identity) (ticketAnswer, error) {
	expires := time.Now().Add(s.opts.TicketTTL)
	if !id.Expires.IsZero() && id.Expires.Before(expires) {
		expires = id.Expires
	}
	expires = expires.Truncate(time.Second)
	ticket, err := s.signTicket(raw, id, expires)
	if err != nil {
		return ticketAnswer{}, err
	}
	return ticketAnswer{"/v1/stream?" + url.Values{"ticket": {ticket}}.Encode(), expires.UTC()}, nil
}

func (s *Server) signTicket(raw streamParams, id *access.Identity, expires time.Time) (string, error) {
	claims := ticketClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{ticketUse}, ExpiresAt: jwt.NewNumericDate(expires), Subject: id.Subject,
		},
		Stream: raw,
	}
	if !id.Expires.IsZero() {
		claims.Until = jwt.NewNumericDate(id.Expires)
	}
	ticket, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.opts.TicketKey)
	if err != nil {
		return "", fmt.Errorf("sign ticket: %w", err)
	}
	if len(ticket) > maxTicket {
		return "", badRequest{{Field: "subject", Detail: fmt.Sprintf(
			"the ticket would have %d bytes, and a URL takes %d: ask for fewer or shorter subjects", len(ticket), maxTicket)}}
	}
	return ticket, nil
}

// readTicket returns the parameters of the stream that a query with a ticket asks
// for, and who may open it: whoever has the ticket. Beside the ticket there can only
// be the id that a client resumes from.
func (s *Server) readTicket(q url.Values) (streamParams, *access.Identity, error) {
	for name := range q {
		if !slices.Contains([]string{"ticket", "last_event_id", "lastEventId"}, name) {
			return streamParams{}, nil, badRequest{{Field: name, Detail: "cannot be given beside a ticket, which has the parameters"}}
		}
	}
	var claims ticketClaims
	_, err := jwt.ParseWithClaims(q.Get("ticket"), &claims,
		func(*jwt.Token) (any, error) { return s.opts.TicketKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithAudience(ticketUse), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return streamParams{}, nil, echo.NewHTTPError(http.StatusUnauthorized, "the ticket has expired: get another one")
	case err != nil: // how it fails is nothing to help a forger with
		return streamParams{}, nil, echo.NewHTTPError(http.StatusUnauthorized, "the ticket is not valid here")
	}
	raw := claims.Stream
	raw.LastEventID = cmp.Or(lastEventID(q), raw.LastEventID)
	id, err := ticketHolder(&claims)
	return raw, id, err
}

// ticketHolder returns the identity that a ticket stands for: who asked for it was
// allowed to subscribe to its subjects.
func ticketHolder(claims *ticketClaims) (*access.Identity, error) {
	f, err := broker.NewFilter(claims.Stream.Subjects, nil)
	if err != nil {
		return nil, badRequest{{Field: "subject", Detail: err.Error()}}
	}
	var until time.Time
	if claims.Until != nil {
		until = claims.Until.Time
	}
	return access.Ticket(claims.Subject, until, f), nil
}

// newTicketKey returns a key for the tickets of one process.
func newTicketKey() []byte {
	key := make([]byte, minTicketKey)
	_, _ = rand.Read(key) // never fails
	return key
}
