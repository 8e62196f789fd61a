package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
)

// response is a stream that net/http carries: over TLS, HTTP/2 or HTTP/1.0. Its
// goroutine is the request's own.
type response struct {
	script
	lease
	w    http.ResponseWriter
	rc   *http.ResponseController
	opts *Options
	sub  *broker.Subscription
	sent *sent
	cuts *cuts
	log  *streamLog
}

// serveResponse writes batch and everything after it to the response.
func (s *Server) serveResponse(c echo.Context, sc script, l lease, log *streamLog, sub *broker.Subscription, batch broker.Batch) error {
	defer log.end()
	s.open.add(netHTTP, sc.encoding, 1)
	defer s.open.add(netHTTP, sc.encoding, -1)
	w := c.Response()
	st := &response{script: sc, lease: l, w: w, rc: http.NewResponseController(w), opts: &s.opts, sub: sub, sent: &s.sent, cuts: &s.cuts, log: log}
	s.carried.add(st)
	defer s.carried.remove(st)
	// The server goes on reading, to notice when the client leaves.
	if err := st.rc.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)

	err := s.follow(c.Request().Context(), st, sub, batch)
	log.because(s.whyEnded(err, &st.lease))
	switch {
	case err == nil: // finished: a clean end
		if end := st.appendEnd(nil); len(end) > 0 {
			_ = st.send(end) // which does not come if the client has left
		}
		return nil
	case errors.Is(err, errDraining), errors.Is(err, errOver):
		_ = st.send(st.appendGoodbye(nil)) // the connection is cut either way
	}
	// Anything but the end of the subjects must not look like one.
	panic(http.ErrAbortHandler)
}

// follow writes batch and everything after it, until the subjects have ended
// (nil), the client is gone, or the gateway shuts down.
func (s *Server) follow(ctx context.Context, st *response, sub *broker.Subscription, batch broker.Batch) error {
	if err := st.send(st.appendOpening(nil, batch)); err != nil {
		return err
	}
	beat := time.NewTimer(s.opts.Heartbeat)
	defer beat.Stop()
	tick := time.NewTicker(s.tick())
	defer tick.Stop()
	drain := s.drain
	due := false // a heartbeat is
	for {
		began := s.clock()
		wrote, err := st.write(batch, due)
		switch {
		case err != nil:
			return err
		case wrote:
			s.traceDelivery(batch.Events, began)
			beat.Reset(s.opts.Heartbeat)
		}
		if batch.Finished {
			return nil
		}
		due = false
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.cutting() {
			return errDraining
		}
		if s.over(&st.lease, s.clock()) {
			return errOver
		}
		if batch.More {
			select {
			case <-beat.C: // nothing has matched for that long
				due = true
			default:
			}
		} else {
			select {
			case <-sub.Ready():
			case <-beat.C:
				due = true
			case <-tick.C: // to see whether it is over
			case <-drain:
				drain = nil
				tick.Reset(drainTick)
			case <-s.cut:
				return errDraining
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if batch, err = sub.Next(ctx); err != nil {
			return err
		}
	}
}

// write sends a batch, or a heartbeat that is due. It reports whether it wrote
// anything.
func (st *response) write(batch broker.Batch, due bool) (bool, error) {
	buf := takeBuffer()
	defer giveBuffer(buf)
	*buf = st.appendBatch(*buf, batch, due)
	if len(*buf) == 0 {
		return false, nil
	}
	if err := st.send(*buf); err != nil {
		return true, err
	}
	st.sent.add(len(batch.Events), 0) // the bytes are send's
	st.log.add(len(batch.Events), 0)
	return true, nil
}

// send writes b, within the write time-out. Over HTTP/2 a deadline that stood longer
// would end the stream while nothing is being written.
func (st *response) send(b []byte) error {
	began := time.Now()
	if err := st.rc.SetWriteDeadline(began.Add(st.opts.WriteTimeout)); err != nil {
		return err
	}
	_, err := st.w.Write(b)
	if err == nil {
		st.sent.add(0, len(b))
		st.log.add(0, len(b))
		err = st.rc.Flush()
	}
	if err == nil {
		err = st.rc.SetWriteDeadline(time.Time{})
	}
	return st.cuts.note(err, time.Since(began), st.opts.WriteTimeout)
}
