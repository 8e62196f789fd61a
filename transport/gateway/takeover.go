package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
)

// stream is a stream on a connection that was taken over from net/http. What an
// idle one keeps is this, its subscription and the connection.
//
// It has one owner at a time, who alone reads its subscription and writes to its
// connection. That is its shard, for as long as what the client gets is in memory
// and the client takes it; else a goroutine of its own, which catches up: it may
// wait for the disk, for the history and for the client, and hands back when it is
// done.
type stream struct {
	script
	lease
	server *Server
	shard  *shard
	conn   net.Conn
	raw    syscall.RawConn
	sub    *broker.Subscription
	log    *streamLog
	// ignored counts the bytes that the client has sent after its request. It is
	// departures'.
	ignored int

	// wrote is when something was last written, and the owner's; see Server.clock.
	wrote time.Duration

	// What follows is guarded by shard.mu.

	// catching reports that the goroutine that catches up is the owner.
	catching bool
	// woken reports that there may be something for it, and queued that it is in
	// shard.ready: it may have got there before it began to catch up.
	woken, queued bool
	// place is the index in shard.streams.
	place int
	ended bool
	// cancel ends what the goroutine that catches up waits for; nil without one.
	cancel context.CancelFunc
}

// maxIgnored bounds the bytes that a client may send after its request. Nothing is
// expected of it.
const maxIgnored = 4096

// lingerTime is how long a client has to close its side after a clean end. Closing
// at once could take the end away from it (RFC 9112, section 9.6).
const lingerTime = time.Second

var (
	errDraining = errors.New("the gateway is shutting down")
	errFinished = errors.New("the subjects have ended")
)

func (s *Server) newStream(sc script, l lease) *stream {
	return &stream{script: sc, lease: l, server: s, shard: s.nextShard(), catching: true}
}

// takeOver begins the stream on the request's connection. When it returns nil the
// subscription is the stream's.
func (st *stream) takeOver(c echo.Context, log *streamLog, sub *broker.Subscription, batch broker.Batch) error {
	conn, _, err := http.NewResponseController(c.Response()).Hijack() // and lifts the deadlines
	if err != nil {
		return fmt.Errorf("take over connection: %w", err)
	}
	c.Response().Committed = true
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return errors.Join(fmt.Errorf("take over connection: %T has no descriptor", conn), conn.Close())
	}
	if st.raw, err = tcp.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("take over connection: %w", err), conn.Close())
	}
	st.conn, st.sub, st.log = conn, sub, log
	head := responseHead(c.Response().Header())
	if !st.shard.join(st) { // a cut before the first byte is one like any other
		st.giveUp()
		sub.Close()
		_ = conn.Close()
		log.because(endDrain)
		log.end()
		return nil
	}
	go st.catchUp(func(ctx context.Context) error { return st.begin(ctx, head, batch) })
	return nil
}

// responseHead is what net/http would write before a body of unknown length. The
// connection is not used again.
func responseHead(h http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Connection", "close")
	h.Set("Transfer-Encoding", "chunked")
	_ = h.Write(&b) // a Buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// Wake implements broker.Waker.
func (st *stream) Wake() { st.shard.wakeUp(st) }

// end closes the stream. It may be called more than once and from any goroutine.
func (st *stream) end() {
	cancel, first := st.shard.leave(st)
	if !first {
		return
	}
	defer st.server.running.Done()
	if cancel != nil {
		cancel()
	}
	st.giveUp()
	st.sub.Close()
	st.server.departures.forget(st)
	_ = st.conn.Close() // its client is gone, or cut off
	st.log.end()
}

// giveUp gives back what the stream has taken besides its subscription and connection.
func (st *stream) giveUp() {
	st.leave()
	st.server.leave(st.client, st.sub.Filter())
}

// catchUp owns the stream until work, which writes what cannot be written at once,
// returns.
func (st *stream) catchUp(work func(context.Context) error) {
	defer st.server.running.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st.shard.mu.Lock()
	st.cancel = cancel
	ended := st.ended
	st.shard.mu.Unlock()
	if ended {
		return
	}
	err := work(ctx)
	if err == nil {
		st.shard.handBack(st)
		return
	}
	st.log.because(st.server.whyEnded(err, &st.lease))
	switch {
	case errors.Is(err, errFinished):
		st.finish()
	case errors.Is(err, errDraining), errors.Is(err, errOver):
		st.sayGoodbye()
	default:
		st.end()
	}
}

// begin writes the head of the response and what comes first.
func (st *stream) begin(ctx context.Context, head []byte, batch broker.Batch) error {
	if err := st.server.departures.watch(st); err != nil {
		return err
	}
	head = appendChunk(head, func(b []byte) []byte { return st.appendOpening(b, batch) })
	if err := st.write(head); err != nil {
		return err
	}
	return st.follow(ctx, batch)
}

// goOn writes the rest of what was written in part, and what follows.
func (st *stream) goOn(ctx context.Context, rest []byte) error {
	if err := st.write(rest); err != nil {
		return err
	}
	batch, err := st.sub.Next(ctx)
	if err != nil {
		return err
	}
	return st.follow(ctx, batch)
}

// follow writes batch and what comes after it, until there is no more at once.
func (st *stream) follow(ctx context.Context, batch broker.Batch) error {
	for {
		if err := st.writeBatch(batch); err != nil {
			return err
		}
		switch {
		case batch.Finished:
			return errFinished
		case st.server.cutting():
			return errDraining
		case st.server.over(&st.lease, st.server.clock()):
			return errOver
		case !batch.More:
			// The shard writes without a deadline: it does not wait.
			return st.conn.SetWriteDeadline(time.Time{})
		}
		var err error
		if batch, err = st.sub.Next(ctx); err != nil {
			return err
		}
	}
}

// writeBatch writes a batch, or the heartbeat that is due.
func (st *stream) writeBatch(batch broker.Batch) error {
	buf := takeBuffer()
	defer giveBuffer(buf)
	began := st.server.clock()
	if err := st.write(st.chunkOf(buf, batch, st.due(began))); err != nil {
		return err
	}
	st.shard.sent.add(len(batch.Events), 0) // the bytes are write's
	st.log.add(len(batch.Events), 0)
	st.server.traceDelivery(batch.Events, began)
	return nil
}

// write writes b within the write time-out.
func (st *stream) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	began, timeout := time.Now(), st.server.opts.WriteTimeout
	if err := st.conn.SetWriteDeadline(began.Add(timeout)); err != nil {
		return err
	}
	n, err := st.conn.Write(b)
	st.shard.sent.add(0, n)
	st.log.add(0, n)
	st.wrote = st.server.clock()
	return st.server.cuts.note(err, time.Since(began), timeout)
}

// chunkOf returns what a batch, or the heartbeat that is due, puts on the wire:
// bytes that other streams share, or bytes in buf. They must not be changed.
func (st *stream) chunkOf(buf *[]byte, batch broker.Batch, due bool) []byte {
	if chunk, ok := st.sharedChunk(batch); ok {
		return chunk
	}
	*buf = appendChunk((*buf)[:0], func(b []byte) []byte { return st.appendBatch(b, batch, due) })
	return *buf
}

// due reports whether the stream has been silent for as long as it may be, less
// the time until the shard looks again.
func (st *stream) due(now time.Duration) bool {
	return now-st.wrote >= st.server.opts.Heartbeat-st.server.tick()
}

// finish ends the body cleanly and leaves closing to the client, for a while.
func (st *stream) finish() {
	err := st.write(append(appendChunk(nil, st.appendEnd), lastChunk...))
	half, ok := st.conn.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil || st.server.cutting() {
		st.end()
		return
	}
	time.AfterFunc(lingerTime, st.end) // unless its departure does
}

// sayGoodbye tells the client to come back and cuts it off, without a clean end.
func (st *stream) sayGoodbye() {
	_ = st.write(appendChunk(nil, st.appendGoodbye)) // it is cut either way
	st.end()
}
