package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// maxPageBytes ends a page before its limit of events when these are large.
const maxPageBytes = 4 << 20

// page is what a JSON answer is made of.
type page struct {
	events   []*broker.Delivery
	bytes    int
	gap      *broker.Gap
	position broker.ID
	finished bool
}

// servePage answers with one page of events as JSON. Without any it waits for the
// first as long as the client wishes.
func (s *Server) servePage(c echo.Context, req streamRequest) error {
	sub, err := s.opts.Hub.Subscribe(req.Request)
	if err != nil {
		return err
	}
	defer sub.Close()
	rc := http.NewResponseController(c.Response())
	if err := rc.SetWriteDeadline(time.Now().Add(req.wait + s.opts.WriteTimeout)); err != nil {
		return err
	}
	if err := rc.SetReadDeadline(time.Time{}); err != nil { // see serveResponse
		return err
	}
	p, err := s.readPage(c.Request().Context(), req, sub)
	if err != nil {
		return err
	}
	if p.gap != nil {
		s.gaps.add(p.gap.Reason)
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	s.opened.pages.Add(1)
	body := p.appendJSON(nil)
	s.sent.add(len(p.events), len(body))
	began := s.clock()
	if err := c.Blob(http.StatusOK, echo.MIMEApplicationJSON, body); err != nil {
		return err
	}
	s.traceDelivery(p.events, began)
	return nil
}

// readPage collects events until there are req.limit, or there are some and no
// more at the moment, or the wait is over.
func (s *Server) readPage(ctx context.Context, req streamRequest, sub *broker.Subscription) (page, error) {
	wait := time.NewTimer(req.wait)
	defer wait.Stop()
	var p page
	for batch, err := firstBatch(ctx, sub); ; batch, err = sub.Next(ctx) {
		if err != nil {
			return page{}, fmt.Errorf("read page: %w", err)
		}
		p.add(batch, req.limit)
		if batch.Finished || p.full(req.limit) {
			return p, nil
		}
		if batch.More {
			continue
		}
		if len(p.events) > 0 || p.gap != nil && !batch.Pending {
			return p, nil
		}
		if batch.Pending && req.wait < startTimeout {
			// An id that another gateway gave a moment ago is worth a moment's wait.
			req.wait = startTimeout
			wait.Reset(req.wait)
		}
		select {
		case <-sub.Ready():
			continue
		case <-s.drain:
		case <-wait.C:
		case <-ctx.Done():
			return page{}, ctx.Err()
		}
		if batch.Pending {
			return page{}, fmt.Errorf("read page: the position asked for cannot be read now: %w", broker.ErrUnavailable)
		}
		return p, nil
	}
}

// add takes in a batch, no further than limit.
func (p *page) add(batch broker.Batch, limit int) {
	if batch.Pending {
		return
	}
	if batch.Gap != nil {
		p.gap = batch.Gap
	}
	p.position, p.finished = batch.Position, batch.Finished
	room := limit - len(p.events)
	if len(batch.Events) > room {
		p.position, p.finished = batch.Events[room-1].ID, false
		batch.Events = batch.Events[:room]
	}
	for _, e := range batch.Events {
		p.bytes += e.Size()
	}
	p.events = append(p.events, batch.Events...)
}

func (p *page) full(limit int) bool { return len(p.events) >= limit || p.bytes >= maxPageBytes }

// appendJSON writes {"events":[…],"last_event_id":…,"gap":…,"finished":…}.
func (p *page) appendJSON(b []byte) []byte {
	b = append(b, `{"events":[`...)
	for i := range p.events {
		if i > 0 {
			b = append(b, ',')
		}
		b = sse.AppendJSON(b, &p.events[i].Event)
	}
	b = append(b, `],"last_event_id":"`...)
	b = p.position.AppendText(b)
	b = append(b, `","gap":`...)
	if p.gap == nil {
		b = append(b, "null"...)
	} else {
		b = sse.AppendGapJSON(b, p.gap)
	}
	b = append(b, `,"finished":`...)
	if p.finished {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	return append(b, "}\n"...)
}
