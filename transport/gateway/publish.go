package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
)

const (
	// maxIdempotencyKey is the greatest length of an Idempotency-Key in bytes.
	maxIdempotencyKey = 256
	// publishTimeout bounds the wait for the stream's acknowledgement.
	publishTimeout = 5 * time.Second
	// ringTimeout bounds the wait for the event to come back through the ring, from
	// where its id is read most cheaply.
	ringTimeout = 500 * time.Millisecond
)

type publishAnswer struct {
	ID        broker.ID `json:"id"`
	Duplicate bool      `json:"duplicate"`
}

// postPublish is POST /v1/publish/{subject}: it stores the body as an event and
// answers with its id.
func (s *Server) postPublish(c echo.Context) error {
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	p, err := s.parsePublication(c, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), publishTimeout)
	defer cancel()
	receipt, err := s.opts.Publisher.Publish(ctx, p)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return c.JSON(http.StatusOK, publishAnswer{s.storedID(c.Request().Context(), receipt.Seq), receipt.Duplicate})
}

// storedID returns the whole id of an event that the stream has acknowledged: the
// acknowledgement has the sequence only. When the stamp cannot be learned in time
// the bare sequence is an id too.
func (s *Server) storedID(ctx context.Context, seq uint64) broker.ID {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	await, cancelAwait := context.WithTimeout(ctx, ringTimeout)
	defer cancelAwait()
	_ = s.opts.Hub.Await(await, seq) // Lookup asks the stream where the ring is late
	return s.opts.Hub.Lookup(ctx, seq)
}

// parsePublication reads the request. The body, which may be large, comes last.
func (s *Server) parsePublication(c echo.Context, id *access.Identity) (broker.Publication, error) {
	header := c.Request().Header
	p := broker.Publication{
		Subject: pathParam(c, "subject"),
		Type:    header.Get(headerEvent),
		MsgID:   header.Get(headerIdempotency),
	}
	var bad badRequest
	bad.add("subject", s.publishable(p.Subject))
	if p.Type != "" {
		bad.add(headerEvent, broker.ValidateType(p.Type))
	}
	var err error
	p.End, err = parseEnd(header.Get(headerEnd))
	bad.add(headerEnd, err)
	bad.add(headerIdempotency, validateIdempotencyKey(p.MsgID))
	if err := bad.err(); err != nil {
		return broker.Publication{}, err
	}
	if err := id.MayPublish(p.Subject); err != nil {
		return broker.Publication{}, err
	}
	if err := s.limits.publish(id, c.RealIP()); err != nil {
		return broker.Publication{}, err
	}

	if p.Data, err = s.readPayload(c); err != nil {
		return broker.Publication{}, err
	}
	return p, nil
}

// publishable returns why nobody may publish on a subject over HTTP, if nobody may.
func (s *Server) publishable(subject string) error {
	if err := broker.ValidateSubject(subject); err != nil {
		return err
	}
	switch {
	case broker.NamesPresence(subject):
		return fmt.Errorf("subject %q is the gateways' own: they tell of presence there", subject)
	case s.opts.Ask.IsAnswer(subject):
		return fmt.Errorf("subject %q is an answer's: workers write there, over NATS", subject)
	}
	return broker.SubjectWithin(subject, s.opts.Subjects)
}

// readPayload reads a body that becomes the payload of a message.
func (s *Server) readPayload(c echo.Context) ([]byte, error) {
	if c.Request().ContentLength > s.opts.PublishMaxBytes { // no need to wait for it
		return nil, &http.MaxBytesError{Limit: s.opts.PublishMaxBytes}
	}
	return readBody(c, s.opts.PublishMaxBytes)
}

// pathParam returns a parameter of the path, decoded. Echo takes it from the path as it
// was sent where that is not encoded as net/url would encode it: with %c3 for %C3.
func pathParam(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}

func parseEnd(v string) (bool, error) {
	switch v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

// validateIdempotencyKey keeps the key fit for a NATS header: visible ASCII.
func validateIdempotencyKey(key string) error {
	if len(key) > maxIdempotencyKey {
		return fmt.Errorf("%d bytes: %d are allowed", len(key), maxIdempotencyKey)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%q has other characters than visible ASCII", key)
	}
	return nil
}
