package gateway

import (
	"context"
	"slices"
	"sync"
	"time"
)

// shard serves a share of the streams from one goroutine, which never waits for a
// client: it writes what is in memory to those that take it, and leaves any other
// to a goroutine that catches up. There is one for each core.
//
// A batch is one write, of bytes made once for all. With that, write(2) is what a
// delivery costs: with 1,000 clients on one subject 78 % of the process's time at 20
// events/s (the NATS server in it 8 %, TryNext 3 %), and 84 % as fast as it goes.
// With a goroutine and net/http's writer for each client it was 52 % at 20 events/s.
type shard struct {
	server *Server
	// wake has a token while ready may not be empty, or drain has begun.
	wake chan struct{}
	// writer, buf and spare are run's.
	writer *rawWriter
	buf    []byte
	spare  []*stream
	// sent is also of the goroutines that catch up.
	sent sent

	// mu guards what follows and the marked fields of the streams. It is held for
	// moving a few words, never over a write, and taken with the hub's lock held:
	// so the hub is not called under it.
	mu      sync.Mutex
	streams []*stream // in no order
	ready   []*stream // woken, each once
	drained bool      // no more streams
	cutAt   time.Time // when drained: the end of what is being written
}

func newShard(s *Server) *shard {
	return &shard{server: s, wake: make(chan struct{}, 1), writer: newRawWriter()}
}

// join takes in a stream, which is catching up. It reports whether it did: a
// gateway that shuts down takes no more.
func (sh *shard) join(st *stream) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.drained {
		return false
	}
	st.place = len(sh.streams)
	sh.streams = append(sh.streams, st)
	sh.server.open.add(takenOver, st.encoding, 1)
	sh.server.running.Add(2) // until end, and for catchUp
	return true
}

// leave takes a stream out. first is true for the first time, and cancel what the
// stream's catching up has to be ended with, if it does.
func (sh *shard) leave(st *stream) (cancel context.CancelFunc, first bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if st.ended {
		return nil, false
	}
	st.ended = true
	last := len(sh.streams) - 1
	sh.streams[st.place] = sh.streams[last]
	sh.streams[st.place].place = st.place
	sh.streams[last] = nil
	sh.streams = sh.streams[:last]
	sh.server.open.add(takenOver, st.encoding, -1)
	return st.cancel, true
}

// catchingUp returns how many of the streams are not the shard's own at the moment.
func (sh *shard) catchingUp() (n int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, st := range sh.streams {
		if st.catching {
			n++
		}
	}
	return n
}

// wakeUp has the stream served, when it is the shard's.
func (sh *shard) wakeUp(st *stream) {
	sh.mu.Lock()
	first := sh.wakeUpLocked(st)
	sh.mu.Unlock()
	if first {
		sh.signal()
	}
}

// wakeUpLocked reports whether the shard has to be told.
func (sh *shard) wakeUpLocked(st *stream) (first bool) {
	if st.woken || st.ended {
		return false
	}
	st.woken = true
	return !st.catching && sh.queueLocked(st)
}

// queueLocked reports whether the shard has to be told.
func (sh *shard) queueLocked(st *stream) (first bool) {
	if st.queued {
		return false
	}
	st.queued = true
	sh.ready = append(sh.ready, st)
	return len(sh.ready) == 1
}

// handBack makes the shard the owner of a stream that has caught up.
func (sh *shard) handBack(st *stream) {
	sh.mu.Lock()
	st.catching, st.cancel = false, nil
	first := st.woken && !st.ended && sh.queueLocked(st)
	drained := sh.drained
	sh.mu.Unlock()
	if first || drained {
		sh.signal()
	}
}

// letGo makes a goroutine that catches up the owner of a stream. rest is what is
// left of a write.
func (sh *shard) letGo(st *stream, rest []byte) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if st.ended {
		return
	}
	st.catching = true
	sh.server.running.Add(1) // not the first: the stream counts until it has ended
	go st.catchUp(func(ctx context.Context) error { return st.goOn(ctx, rest) })
}

func (sh *shard) signal() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// run serves the shard's streams until stop is closed.
func (sh *shard) run(stop <-chan struct{}) {
	tick := time.NewTicker(sh.server.tick())
	defer tick.Stop()
	drain := sh.server.drain
	for {
		select {
		case <-sh.wake:
		case <-drain:
			drain = nil
			tick.Reset(drainTick)
		case <-tick.C:
			sh.endOver()
			sh.wakeSilent()
		case <-stop:
			return
		}
		if sh.server.cutting() {
			sh.cutAll()
			continue
		}
		for _, st := range sh.takeReady() {
			sh.serve(st)
		}
		if cap(sh.buf) > maxPooledBuffer {
			sh.buf = nil
		}
	}
}

// takeReady returns the streams to serve, until the next call.
func (sh *shard) takeReady() []*stream {
	clear(sh.spare)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	queue := sh.ready
	taken := queue[:0]
	for _, st := range queue {
		st.queued = false
		if st.catching || st.ended {
			continue // handBack looks at woken
		}
		st.woken = false // before its subscription is read: what comes later wakes again
		taken = append(taken, st)
	}
	sh.ready, sh.spare = sh.spare[:0], queue
	return taken
}

// wakeSilent wakes the streams that have a heartbeat due.
func (sh *shard) wakeSilent() {
	now := sh.server.clock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, st := range sh.streams {
		if !st.catching && st.due(now) {
			sh.wakeUpLocked(st)
		}
	}
}

// endOver cuts the streams off whose time is over. Those that catch up look
// themselves.
func (sh *shard) endOver() {
	now := sh.server.clock()
	var over []*stream
	sh.mu.Lock()
	for _, st := range sh.streams {
		if !st.catching && sh.server.over(&st.lease, now) {
			over = append(over, st)
		}
	}
	sh.mu.Unlock()
	sh.cut(over, errOver)
}

// cut says goodbye to streams of the shard's and ends them, because of err.
func (sh *shard) cut(streams []*stream, err error) {
	for _, st := range streams {
		st.log.because(sh.server.whyEnded(err, &st.lease))
		_, _ = sh.writer.writeNow(st.raw, appendChunk(nil, st.appendGoodbye))
		st.end()
	}
}

// maxTurns is how many batches a stream gets at a time while others wait.
const maxTurns = 4

// serve writes what there is for a stream, as far as it is in memory and the
// client takes it.
func (sh *shard) serve(st *stream) {
	now := sh.server.clock()
	for range maxTurns {
		batch, ok := st.sub.TryNext()
		if !ok {
			sh.letGo(st, nil)
			return
		}
		if b := st.chunkOf(&sh.buf, batch, st.due(now)); len(b) > 0 {
			rest, err := sh.writer.writeNow(st.raw, b)
			if err != nil {
				st.log.because(sh.server.whyEnded(err, &st.lease))
				st.end()
				return
			}
			st.wrote = now
			sh.sent.add(len(batch.Events), len(b)-len(rest))
			st.log.add(len(batch.Events), len(b)-len(rest))
			sh.server.traceDelivery(batch.Events, now)
			if len(rest) > 0 {
				sh.letGo(st, append([]byte(nil), rest...))
				return
			}
		}
		if !batch.More {
			return
		}
	}
	sh.wakeUp(st)
}

// list returns the shard's streams.
func (sh *shard) list() []*stream {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return slices.Clone(sh.streams)
}

// drain has the shard take no more streams and cut those it has.
func (sh *shard) drain() {
	sh.mu.Lock()
	if !sh.drained {
		sh.drained, sh.cutAt = true, time.Now().Add(drainWrite)
	}
	sh.mu.Unlock()
	sh.signal()
}

// endAll ends every stream, whatever it waits for.
func (sh *shard) endAll() {
	for _, st := range sh.list() {
		st.log.because(endDrain)
		st.end()
	}
}

// drainWrite is how long a client gets to take what it is being written when the
// gateway shuts down. One that does not read would hold it up for the write time-out.
const drainWrite = time.Second

// cutAll says goodbye to all streams of the shard's, which are about to be cut, and
// has those that catch up do it soon.
func (sh *shard) cutAll() {
	sh.mu.Lock()
	var mine []*stream
	for _, st := range sh.streams {
		if !st.catching {
			mine = append(mine, st)
			continue
		}
		_ = st.conn.SetWriteDeadline(sh.cutAt) // fails for one that has just ended
	}
	sh.mu.Unlock()
	sh.cut(mine, errDraining)
}
