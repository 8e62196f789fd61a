package gateway

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// script is what one client of a stream is told, in bytes, and what it was told so
// far. How these get to the client is not its business.
type script struct {
	encoding  *encoding
	retry     time.Duration
	bookmarks bookmarks
	// primed reports that the client was told where it stands.
	primed bool
	// sent is the last id the client was given, by an event or a bookmark.
	sent broker.ID
	// sum is that of everything so far, with gzip.
	sum sse.GzipSum
	// gaps counts those that clients are told of.
	gaps *gaps
}

func (s *Server) newScript(r *http.Request, req streamRequest) script {
	sc := script{encoding: s.encodings[req.format], retry: s.opts.Retry, bookmarks: req.bookmarks, gaps: &s.gaps}
	if s.opts.Compression && acceptsGzip(r.Header) {
		sc.encoding = s.encodings[formats+int(req.format)]
	}
	if sc.bookmarks == bookmarksAuto {
		sc.bookmarks = bookmarksLine
		if prefersBlocks(r) {
			sc.bookmarks = bookmarksBlock
		}
	}
	return sc
}

// appendOpening appends what comes before the first batch: the reconnection time,
// and a sign of life where there is nothing else to say.
func (sc *script) appendOpening(b []byte, batch broker.Batch) []byte {
	if sc.encoding.gzip {
		b = sse.AppendGzipHeader(b)
	}
	return sc.appendText(b, func(b []byte) []byte {
		b = sse.AppendRetry(b, sc.retry)
		if b = sc.appendPriming(b, batch); !sc.primed {
			b = sse.AppendHeartbeat(b)
		}
		return b
	})
}

// appendText appends what is said to this client alone, as fill appends it to its
// argument. That is short and is not deflated.
func (sc *script) appendText(b []byte, fill func([]byte) []byte) []byte {
	if !sc.encoding.gzip {
		return fill(b)
	}
	buf := takeBuffer()
	defer giveBuffer(buf)
	*buf = fill(*buf)
	sc.sum.Add(*buf)
	return sse.AppendStored(b, *buf)
}

// appendPriming tells the client where it stands before its first event. It is
// empty while that is not known, and within a snapshot, of which a client that
// resumed would lose the rest; and before a gap, of which a client cut off in between
// would never be told.
func (sc *script) appendPriming(b []byte, batch broker.Batch) []byte {
	if sc.primed || batch.Pending || batch.Snapshot || batch.Gap != nil {
		return b
	}
	sc.primed = true
	return sc.appendBookmark(b, batch.Start)
}

func (sc *script) appendBookmark(b []byte, id broker.ID) []byte {
	if sc.bookmarks == bookmarksOff {
		return b
	}
	sc.sent = id
	return sse.AppendBookmark(b, id, sc.bookmarks == bookmarksBlock)
}

// appendBatch appends a batch, or when a heartbeat is due and there is nothing to
// say, that.
func (sc *script) appendBatch(b []byte, batch broker.Batch, due bool) []byte {
	start := len(b)
	switch {
	case batch.Gap != nil:
		b = sc.appendText(b, func(b []byte) []byte { return sc.appendGap(b, batch) })
	case !sc.primed:
		b = sc.appendText(b, func(b []byte) []byte { return sc.appendPriming(b, batch) })
	}
	if n := len(batch.Events); n > 0 {
		b = sc.appendEvents(b, batch.Events)
		sc.sent = batch.Events[n-1].ID
	}
	if len(b) == start && due {
		b = sc.appendText(b, func(b []byte) []byte { return sc.appendHeartbeat(b, batch) })
	}
	return b
}

// appendEvents appends events for this client. Nothing is deflated for one client:
// what is not shared is stored.
func (sc *script) appendEvents(b []byte, events []*broker.Delivery) []byte {
	enc := sc.encoding
	if !enc.gzip {
		return enc.appendFrames(b, events)
	}
	for _, d := range events {
		if kept, ok := d.Encoded(enc.number, enc.event); ok {
			run, part := sse.CutGzipPart(kept)
			sc.sum.AddPart(part)
			b = append(b, run...)
		} else {
			b = sc.appendText(b, func(b []byte) []byte { return enc.frame(b, &d.Event) })
		}
	}
	return b
}

// sharedChunk returns a batch as a chunk that all streams of the encoding share;
// ok is false where there is none, or this client has to be told something else as
// well. The bytes must not be changed.
func (sc *script) sharedChunk(batch broker.Batch) (chunk []byte, ok bool) {
	n := len(batch.Events)
	if !sc.primed || batch.Gap != nil || n == 0 {
		return nil, false
	}
	chunk, ok = batch.Encoded(sc.encoding.number, sc.encoding.chunk)
	if !ok {
		return nil, false
	}
	sc.sent = batch.Events[n-1].ID
	if sc.encoding.gzip {
		var part sse.GzipPart
		chunk, part = sse.CutGzipPart(chunk)
		sc.sum.AddPart(part)
	}
	return chunk, true
}

// appendHeartbeat keeps the connection alive, and moves the client's id on when
// the log has moved on without an event for it: a quiet feed must not fall off
// the ring.
func (sc *script) appendHeartbeat(b []byte, batch broker.Batch) []byte {
	start := len(b)
	if !batch.Pending && !batch.Snapshot && batch.Position != sc.sent {
		b = sc.appendBookmark(b, batch.Position)
	}
	if len(b) == start {
		b = sse.AppendHeartbeat(b)
	}
	return b
}

func (sc *script) appendGap(b []byte, batch broker.Batch) []byte {
	g := batch.Gap
	sc.gaps.add(g.Reason)
	sc.primed = !batch.Snapshot
	if !batch.Snapshot {
		sc.sent = g.At
	}
	return sse.AppendGap(b, g, !batch.Snapshot)
}

// appendGoodbye tells the client to come back after a time of its own, so that not
// all come back at once.
func (sc *script) appendGoodbye(b []byte) []byte {
	return sc.appendText(b, func(b []byte) []byte { return sse.AppendRetry(b, sc.retry+rand.N(sc.retry)) })
}

// appendEnd appends what a body ends with that is complete.
func (sc *script) appendEnd(b []byte) []byte {
	if !sc.encoding.gzip {
		return b
	}
	return sse.AppendGzipTrailer(b, sc.sum)
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
