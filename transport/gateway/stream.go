package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/sse"
)

// startTimeout bounds the wait for a stream's first batch, after which the stream
// is opened and the answer comes in band.
const startTimeout = 2 * time.Second

// streamPage bounds what a stream takes from the hub at a time. A client that does
// not read holds that much and its frames until it is cut: 2,000 of them took 4.4 GB
// with the hub's own bound of 1 MiB. A single larger event comes all the same.
var streamPage = broker.Limits{Bytes: 64 << 10}

// getStream is GET /v1/stream: parameters in the query, or in a ticket there.
func (s *Server) getStream(c echo.Context) error {
	query := c.QueryParams()
	if query.Has("ticket") {
		raw, id, err := s.readTicket(query)
		if err != nil {
			return err
		}
		return s.stream(c, raw, id)
	}
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	raw, err := queryParams(query)
	if err != nil {
		return err
	}
	return s.stream(c, raw, id)
}

// postStream is POST /v1/stream: parameters in the query and in a JSON body,
// which wins.
func (s *Server) postStream(c echo.Context) error {
	id, err := s.opts.Access.Identify(c.Request())
	if err != nil {
		return err
	}
	raw, err := bodyParams(c)
	if err != nil {
		return err
	}
	return s.stream(c, raw, id)
}

// stream subscribes for id and answers in the form that the client accepts.
func (s *Server) stream(c echo.Context, raw streamParams, id *access.Identity) error {
	if id := c.Request().Header.Get(headerLastEventID); id != "" {
		raw.LastEventID = id
	}
	if err := s.limits.subjects(len(raw.Subjects)); err != nil {
		return err
	}
	req, err := raw.request(time.Now(), s.opts.Subjects)
	if err != nil {
		return err
	}
	if err := s.opts.Access.MaySubscribe(c.Request().Context(), id, c.RealIP(), req.Filter); err != nil {
		return err
	}
	req.client, req.address = id.Holder(), parseAddress(c.RealIP())
	if req.seat, err = s.limits.take(id, c.RealIP()); err != nil {
		return err
	}
	c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
	if wantsPage(c.Request().Header.Get(echo.HeaderAccept)) {
		defer req.seat.leave()
		req.Page = broker.Limits{Events: req.limit}
		return s.servePage(c, req)
	}
	req.Page = streamPage
	return s.serveEvents(c, req)
}

// firstBatch reads a subscription's first batch, so that what has to be refused
// still can be. When that takes too long (NATS does not answer) the batch is
// Pending and to be asked for again.
func firstBatch(ctx context.Context, sub *broker.Subscription) (broker.Batch, error) {
	short, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	batch, err := sub.Next(short)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return broker.Batch{Pending: true, More: true}, nil
	}
	if err != nil {
		return broker.Batch{}, fmt.Errorf("open stream: %w", err)
	}
	return batch, nil
}

// wantsPage reports whether the Accept header asks for JSON rather than for a
// stream: it names application/json with a greater weight than text/event-stream,
// or before it. Wildcards count for neither: who does not say gets a stream.
func wantsPage(accept string) bool {
	json, events := 0.0, 0.0
	for r := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(r, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case echo.MIMEApplicationJSON:
			if q := weight(params); q > events {
				json = max(json, q)
			}
		case sse.ContentType:
			if q := weight(params); q > json {
				events = max(events, q)
			}
		}
	}
	return json > events
}

// weight reads the q parameter among a preference's (RFC 9110, section 12.4.2): from
// 0, which what makes no sense counts as, to 1, the weight without one.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// prefersBlocks reports whether the client dispatches nothing for a block that
// has no data. The EventSource standard makes a client send Cache-Control:
// no-cache on its GET (https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource).
// Of the clients in transport/web/clients that do, extended-eventsource alone gets
// this wrong.
func prefersBlocks(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(strings.ToLower(r.Header.Get(echo.HeaderCacheControl)), "no-cache")
}
