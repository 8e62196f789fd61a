package jetstream

import (
	"sync"

	"ringcast/broker"
	"ringcast/transport/tracing"
)

// batch is what has arrived since the last one was taken.
type batch struct {
	events []broker.Event
	// consumerSeqs are the consumer's own count of each event: dense unless one
	// was lost on the way.
	consumerSeqs []uint64
	bytes        int
	// origins are those of the first events that are traced.
	origins []*tracing.Origin
}

// inbox hands messages over from nats.go's dispatching goroutine to the
// session's. It is bounded: when it is full the dispatcher waits, the library
// then asks the server for no more, and so a slow disk costs memory for one
// inbox and two pull requests, whatever has been published.
type inbox struct {
	maxEvents, maxBytes int
	done                <-chan struct{} // ends waiting; closed by the session

	mu  sync.Mutex // guards cur; held for an append or a swap only
	cur batch

	ready chan struct{} // has a token while cur may hold events
	space chan struct{} // has a token after cur was taken
}

func newInbox(maxEvents, maxBytes int, done <-chan struct{}) *inbox {
	return &inbox{
		maxEvents: maxEvents,
		maxBytes:  maxBytes,
		done:      done,
		ready:     make(chan struct{}, 1),
		space:     make(chan struct{}, 1),
	}
}

// put adds an event, with where it comes from if it is traced, waiting for room. One
// goroutine at a time may call it.
func (in *inbox) put(e broker.Event, consumerSeq uint64, origin *tracing.Origin) {
	for !in.tryPut(e, consumerSeq, origin) {
		select {
		case <-in.space:
		case <-in.done:
			return
		}
	}
}

func (in *inbox) tryPut(e broker.Event, consumerSeq uint64, origin *tracing.Origin) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n := len(in.cur.events); n >= in.maxEvents || n > 0 && in.cur.bytes+e.Size() > in.maxBytes {
		return false
	}
	in.cur.events = append(in.cur.events, e)
	in.cur.consumerSeqs = append(in.cur.consumerSeqs, consumerSeq)
	in.cur.bytes += e.Size()
	if origin != nil && len(in.cur.origins) < tracing.MaxPerBatch {
		in.cur.origins = append(in.cur.origins, origin)
	}
	signal(in.ready)
	return true
}

// take returns all that has arrived. The slices are the caller's: the sink keeps
// them.
func (in *inbox) take() batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.cur
	in.cur = batch{
		events:       make([]broker.Event, 0, len(b.events)),
		consumerSeqs: make([]uint64, 0, len(b.consumerSeqs)),
	}
	signal(in.space)
	return b
}

func (in *inbox) empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.cur.events) == 0
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
