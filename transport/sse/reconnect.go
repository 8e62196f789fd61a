package sse

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

// maxFloor is the longest that a server can send a client away for.
const maxFloor = time.Hour

// pause waits before the next attempt: the reconnection time in full, as the
// standard asks, and then a random part of the backoff ("full jitter"), so that
// clients cut off together do not come back together.
func (r *run) pause(ctx context.Context, cause error) error {
	wait := min(max(r.reconnectionTime, retryAfter(cause), 0), maxFloor)
	wait += rand.N(r.backoff() + 1)
	r.failures++
	if r.OnRetry != nil {
		r.OnRetry(cause, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.Restart:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchRestart cancels an attempt when a restart is asked for, until end is called,
// which ends the attempt. restarted tells then whether a restart was asked for; it
// is not lost where the attempt came to its own end in the same moment.
func (r *run) watchRestart(ctx context.Context, cancel context.CancelCauseFunc) (end func()) {
	r.restarted = false
	if r.Restart == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-r.Restart:
			r.restarted = true
			cancel(nil)
		case <-ctx.Done():
		}
	}()
	return func() {
		cancel(nil)
		<-done
	}
}

// backoff returns the ceiling of the random part of the next wait.
func (r *run) backoff() time.Duration {
	ceiling := max(r.Backoff, 0)
	for range r.failures {
		if ceiling >= r.MaxBackoff/2 {
			return max(r.MaxBackoff, 0)
		}
		ceiling *= 2
	}
	return min(ceiling, max(r.MaxBackoff, 0))
}

// retryAfter returns what a refusal asked for, if anything.
func retryAfter(cause error) time.Duration {
	var refused *StatusError
	if errors.As(cause, &refused) {
		return refused.RetryAfter
	}
	return 0
}

// watchdog calls bite when it has been awake for a timeout. A negative timeout
// means never.
type watchdog struct {
	timer   *time.Timer // nil: never
	timeout time.Duration
}

// newWatchdog returns a watchdog that is awake.
func newWatchdog(timeout time.Duration, bite func()) *watchdog {
	if timeout < 0 {
		return &watchdog{}
	}
	return &watchdog{timer: time.AfterFunc(timeout, bite), timeout: timeout}
}

func (w *watchdog) wake() {
	if w.timer != nil {
		w.timer.Reset(w.timeout)
	}
}

func (w *watchdog) rest() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchedReader keeps the watchdog awake while a Read waits. Any byte ends the
// wait, a heartbeat as much as an event; what the listener does in between takes
// as long as it likes.
type watchedReader struct {
	r   io.Reader
	dog *watchdog
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.dog.wake()
	defer w.dog.rest()
	return w.r.Read(p)
}
