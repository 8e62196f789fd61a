package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// feed publishes from a goroutine of its own: event after event, at a rate or as fast
// as what was published is delivered.
type feed struct {
	Options
	publisher publisher
	id        uint64 // the run's

	published atomic.Uint64 // events so far
	arrived   atomic.Uint64 // deliveries so far
	more      chan struct{} // has one when arrived has grown
	ending    atomic.Bool
	done      chan struct{} // closed by run
	failed    error         // to be read once done is closed

	endedAt int64    // likewise
	counts  []uint64 // events of each subject, likewise

	cancel context.CancelFunc // ends run at once
}

func startFeed(o Options, run uint64) (*feed, error) {
	publisher, err := newPublisher(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{Options: o, id: run, publisher: publisher, more: make(chan struct{}, 1), counts: make([]uint64, o.Subjects), done: make(chan struct{}), cancel: cancel}
	go f.run(ctx)
	return f, nil
}

// stop ends the feed at once and waits for it. It is called once.
func (f *feed) stop() {
	f.cancel()
	f.publisher.close()
	<-f.done
}

// end has the feed publish nothing new; it has ended when what was published is
// with the server.
func (f *feed) end() { f.ending.Store(true) }

func (f *feed) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// err returns why the feed has ended by itself, nil while it has not.
func (f *feed) err() error {
	if !f.ended() {
		return nil
	}
	return f.failed
}

// delivered tells how many deliveries there have been.
func (f *feed) delivered(n uint64) {
	f.arrived.Store(n)
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *feed) run(ctx context.Context) {
	defer close(f.done)
	defer func() { f.endedAt = now() }()
	began, draw := now(), f.drawing()
	for n := uint64(0); ; n++ {
		due, ok := f.awaitTurn(ctx, n, began)
		if !ok {
			break
		}
		subject := draw(n)
		payload := f.payload(stamp{run: f.id, subject: uint32(subject), place: f.counts[subject] + 1, due: due})
		if err := f.publisher.publish(int(subject), payload); err != nil {
			f.failed = fmt.Errorf("publish: %w", err)
			return
		}
		f.counts[subject]++
		f.published.Add(1)
	}
	if err := f.publisher.flush(ctx); err != nil {
		f.failed = fmt.Errorf("publish: %w", err)
	}
}

// drawing returns a function that returns the subject of event n (from 0).
func (f *feed) drawing() func(n uint64) uint64 {
	if !f.Skew {
		return func(n uint64) uint64 { return n % uint64(f.Subjects) }
	}
	// Of 5,000 subjects the first gets one event in six, and the rarer half of them
	// one in twenty together.
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, uint64(f.Subjects-1))
	return func(uint64) uint64 { return zipf.Uint64() }
}

// awaitTurn waits until event n (from 0) may be published and returns when it was
// due; ok is false when the feed is to end instead.
func (f *feed) awaitTurn(ctx context.Context, n uint64, began int64) (due int64, ok bool) {
	over := func() bool { return f.ending.Load() || ctx.Err() != nil }
	if f.Rate == 0 {
		for !over() && f.windowFull(n) {
			select {
			case <-f.more:
			case <-ctx.Done():
			}
		}
		return now(), !over()
	}
	due = began + int64(float64(n)/f.Rate*1e9)
	for wait := due - now(); !over() && wait > 0; wait = due - now() {
		sleep(ctx, min(time.Duration(wait), longestSleep))
	}
	return due, !over()
}

// windowFull reports whether Window events are under way when event n is next.
// Without clients there is nothing to wait for.
func (f *feed) windowFull(n uint64) bool {
	clients := uint64(f.followers())
	return clients > 0 && n*clients >= f.arrived.Load()+uint64(f.Window)*clients
}

// longestSleep is how soon a sleeping feed notices that it is to end.
const longestSleep = 50 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
