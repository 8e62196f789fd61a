package gateway

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/access"
	"ringcast/transport/sse"
)

// serveEvents answers with a stream of Server-Sent Events: on the connection
// itself where that may be taken over, and else by way of net/http.
func (s *Server) serveEvents(c echo.Context, req streamRequest) error {
	sc := s.newScript(c.Request(), req)
	var st *stream
	if canTakeOver(c.Request()) && s.startServing() {
		st = s.newStream(sc, s.newLease(req))
		req.Waker = st
	}
	taken := false
	defer func() {
		if !taken {
			req.seat.leave()
		}
	}()
	sub, err := s.opts.Hub.Subscribe(req.Request)
	if err != nil {
		return err
	}
	defer func() {
		if !taken {
			sub.Close()
		}
	}()
	batch, err := firstBatch(c.Request().Context(), sub)
	if err != nil {
		return err
	}
	batch.Finished = batch.Finished || s.opts.Ask.Gone(c.Request().Context(), req.Request, batch)
	s.noteResume(req, batch)
	if batch.Finished && len(batch.Events) == 0 && batch.Gap == nil {
		// 204 is what stops an EventSource from coming back.
		return c.NoContent(http.StatusNoContent)
	}
	s.opened.add(req)
	s.enter(req.client, req.Filter)
	s.setStreamHeaders(c.Response().Header(), sc)
	log := s.noteOpened(c)
	if st == nil {
		defer s.leave(req.client, req.Filter)
		return s.serveResponse(c, sc, s.newLease(req), log, sub, batch)
	}
	if err := st.takeOver(c, log, sub, batch); err != nil {
		s.leave(req.client, req.Filter)
		log.because(err.Error())
		log.end()
		return err
	}
	taken = true
	return nil
}

// enter notes a stream with those who want to know of them, until it leaves.
func (s *Server) enter(client *access.Identity, f broker.Filter) {
	s.opts.Presence.Enter(client.Subject, f)
	s.opts.Ask.Enter(f)
}

func (s *Server) leave(client *access.Identity, f broker.Filter) {
	s.opts.Presence.Leave(client.Subject, f)
	s.opts.Ask.Leave(f)
}

func (s *Server) setStreamHeaders(h http.Header, sc script) {
	h.Set(echo.HeaderContentType, sse.ContentType)
	h.Set(echo.HeaderCacheControl, "no-store, no-transform") // a compressing proxy would hold events back
	h.Set("X-Accel-Buffering", "no")                         // nginx
	if s.opts.Compression {
		h.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
	}
	if sc.encoding.gzip {
		h.Set(echo.HeaderContentEncoding, "gzip")
	}
}
