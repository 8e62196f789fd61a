package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// eventStream is one open stream: what is written to one client.
type eventStream struct {
	w         http.ResponseWriter
	rc        *http.ResponseController
	opts      *Options
	format    sse.Format
	bookmarks bookmarks
	encode    func([]byte, *broker.Event) []byte // as a frame of format
	// primed reports that the client was told where it stands.
	primed bool
	// sent is the last id the client was given, by an event or a bookmark.
	sent broker.ID
}

// serveEvents answers with a stream of Server-Sent Events.
func (s *Server) serveEvents(c echo.Context, req streamRequest, sub *broker.Subscription) error {
	ctx := c.Request().Context()
	batch, err := firstBatch(ctx, sub)
	if err != nil {
		return err
	}
	if batch.Finished && len(batch.Events) == 0 {
		// 204 is what stops an EventSource from coming back.
		return c.NoContent(http.StatusNoContent)
	}
	s.streams.Add(1)
	defer s.streams.Add(-1)
	st, err := s.startEvents(c, req)
	if err != nil {
		return err
	}
	switch err := s.follow(ctx, st, sub, batch); {
	case err == nil:
		return nil // finished: a clean end
	case errors.Is(err, errDraining):
		st.sayGoodbye()
	case ctx.Err() == nil:
		s.opts.Logger.Debug("stream was cut", "remote", c.RealIP(), "err", err)
	}
	// Anything but the end of the subjects must not look like one.
	panic(http.ErrAbortHandler)
}

// startEvents lifts the request's deadlines and sends the headers.
func (s *Server) startEvents(c echo.Context, req streamRequest) (*eventStream, error) {
	w := c.Response()
	rc := http.NewResponseController(w)
	// The server goes on reading, to notice when the client leaves.
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	st := &eventStream{w: w, rc: rc, opts: &s.opts, format: req.format, bookmarks: req.bookmarks}
	source := sse.Source(s.opts.Stream)
	st.encode = func(b []byte, e *broker.Event) []byte { return req.format.AppendFrame(b, e, source) }
	if st.bookmarks == bookmarksAuto {
		st.bookmarks = bookmarksLine
		if prefersBlocks(c.Request()) {
			st.bookmarks = bookmarksBlock
		}
	}
	h := w.Header()
	h.Set(echo.HeaderContentType, sse.ContentType)
	h.Set(echo.HeaderCacheControl, "no-store, no-transform") // a compressing proxy would hold events back
	h.Set("X-Accel-Buffering", "no")                         // nginx
	w.WriteHeader(http.StatusOK)
	return st, nil
}

var errDraining = errors.New("the gateway is shutting down")

// follow writes batch and everything after it, until the subjects have ended
// (nil), the client is gone, or the gateway shuts down.
func (s *Server) follow(ctx context.Context, st *eventStream, sub *broker.Subscription, batch broker.Batch) error {
	if err := st.open(batch); err != nil {
		return err
	}
	beat := time.NewTimer(s.opts.Heartbeat)
	defer beat.Stop()
	due := false // a heartbeat is
	for {
		wrote, err := st.write(batch, due)
		switch {
		case err != nil:
			return err
		case batch.Finished:
			return nil
		case wrote:
			beat.Reset(s.opts.Heartbeat)
		}
		due = false
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.Draining() {
			return errDraining
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
			case <-s.drain:
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

// open writes what comes before the first batch: the reconnection time, and a
// sign of life where there is nothing else to say.
func (st *eventStream) open(batch broker.Batch) error {
	buf := takeBuffer()
	defer giveBuffer(buf)
	*buf = sse.AppendRetry(*buf, st.opts.Retry)
	*buf = st.appendPriming(*buf, batch)
	if !st.primed {
		*buf = sse.AppendHeartbeat(*buf)
	}
	return st.send(*buf)
}

// appendPriming tells the client where it stands before its first event. It is
// empty while that is not known, and within a snapshot, of which a client that
// resumed would lose the rest; and before a gap, of which a client cut off in between
// would never be told.
func (st *eventStream) appendPriming(b []byte, batch broker.Batch) []byte {
	if st.primed || batch.Pending || batch.Snapshot || batch.Gap != nil {
		return b
	}
	st.primed = true
	return st.appendBookmark(b, batch.Start)
}

func (st *eventStream) appendBookmark(b []byte, id broker.ID) []byte {
	if st.bookmarks == bookmarksOff {
		return b
	}
	st.sent = id
	return sse.AppendBookmark(b, id, st.bookmarks == bookmarksBlock)
}

// write sends a batch, or when a heartbeat is due and there is nothing to send,
// that. It reports whether it wrote anything.
func (st *eventStream) write(batch broker.Batch, due bool) (bool, error) {
	buf := takeBuffer()
	defer giveBuffer(buf)
	b := *buf
	if batch.Gap != nil {
		b = st.appendGap(b, batch)
	} else {
		b = st.appendPriming(b, batch)
	}
	for _, e := range batch.Events {
		b = st.appendFrame(b, e)
		st.sent = e.ID
	}
	if len(b) == 0 && due {
		b = st.appendHeartbeat(b, batch)
	}
	*buf = b
	if len(b) == 0 {
		return false, nil
	}
	return true, st.send(b)
}

// appendFrame appends an event. Its frame is the same bytes for every stream of a
// format, so that of a recent one is made once.
func (st *eventStream) appendFrame(b []byte, e *broker.Delivery) []byte {
	if frame, ok := e.Encoded(int(st.format), st.encode); ok {
		return append(b, frame...)
	}
	return st.encode(b, &e.Event)
}

// appendHeartbeat keeps the connection alive, and moves the client's id on when
// the log has moved on without an event for it: a quiet feed must not fall off
// the ring.
func (st *eventStream) appendHeartbeat(b []byte, batch broker.Batch) []byte {
	if !batch.Pending && !batch.Snapshot && batch.Position != st.sent {
		b = st.appendBookmark(b, batch.Position)
	}
	if len(b) == 0 {
		b = sse.AppendHeartbeat(b)
	}
	return b
}

func (st *eventStream) appendGap(b []byte, batch broker.Batch) []byte {
	g := batch.Gap
	st.primed = !batch.Snapshot
	if !batch.Snapshot {
		st.sent = g.At
	}
	return sse.AppendGap(b, g, !batch.Snapshot)
}

// send writes b, within the write time-out.
func (st *eventStream) send(b []byte) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(st.opts.WriteTimeout)); err != nil {
		return err
	}
	if _, err := st.w.Write(b); err != nil {
		return err
	}
	return st.rc.Flush()
}

// sayGoodbye tells the client to come back after a time of its own, so that not
// all come back at once.
func (st *eventStream) sayGoodbye() {
	retry := st.opts.Retry + rand.N(st.opts.Retry)
	_ = st.send(sse.AppendRetry(nil, retry)) // the connection is cut either way
}

// buffers are shared by all streams: an idle one holds none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooledBuffer keeps one large event from staying in memory for good.
const maxPooledBuffer = 256 << 10

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

func giveBuffer(b *[]byte) {
	if cap(*b) > maxPooledBuffer {
		return
	}
	*b = (*b)[:0]
	buffers.Put(b)
}
