package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/broker"
)

// state is what is known of an answer.
type state int

const (
	unknown state = iota // somebody reads it, and nothing has been heard of it
	open
	ended
)

// watched is an answer that is watched over, or read here.
type watched struct {
	id    string
	state state
	// last is its newest event, heard when that came, and size the data of all that came.
	last  uint64
	heard time.Time
	size  int64
	// begun reports that the worker has written.
	begun bool

	// alive reports that the worker has answered a probe, and missed counts those since
	// then that nobody was there for.
	alive  bool
	missed int
	probed time.Time
	// stopBy is when it has to have ended after it was told to stop; zero without that.
	stopBy time.Time

	// readers are the streams of it on this gateway, and left is since when there are none.
	readers int
	left    time.Time
	// busy: something is being done about it.
	busy bool
}

// Enter notes that a stream with the filter is open on this gateway. Leave is to be
// called with the same when it has ended.
func (d *Desk) Enter(f broker.Filter) {
	d.eachAnswer(f, func(subject, id string) {
		if w := d.lookLocked(subject, id); w != nil {
			w.readers++
		}
	})
}

// Leave takes back one Enter.
func (d *Desk) Leave(f broker.Filter) {
	d.eachAnswer(f, func(subject, _ string) {
		if w := d.answers[subject]; w != nil {
			w.readers = max(w.readers-1, 0)
			w.left = time.Now()
			d.dropLocked(subject)
		}
	})
}

func (d *Desk) eachAnswer(f broker.Filter, do func(subject, id string)) {
	if d == nil {
		return
	}
	for _, subject := range f.Subjects() {
		if id, ok := d.idOf(subject); ok {
			d.mu.Lock()
			do(subject, id)
			d.mu.Unlock()
		}
	}
}

// lookLocked returns what is known of an answer; nil where it is not, and there is no
// room for another.
func (d *Desk) lookLocked(subject, id string) *watched {
	w := d.answers[subject]
	if w == nil && len(d.answers) < maxAnswers {
		w = &watched{id: id, left: time.Now()}
		d.answers[subject] = w
	}
	return w
}

// dropLocked forgets an answer that needs no watching.
func (d *Desk) dropLocked(subject string) {
	if w := d.answers[subject]; w.state != open && w.readers == 0 {
		delete(d.answers, subject)
	}
}

func (d *Desk) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.answers) >= maxAnswers
}

// followRetry is how long to wait where the events cannot be read.
const followRetry = time.Second

// follow hears all answers until ctx is done.
func (d *Desk) follow(ctx context.Context) {
	req := broker.Request{Filter: d.events, From: broker.FromNow}
	for ctx.Err() == nil {
		err := d.read(ctx, req, nil, func(batch broker.Batch) bool {
			d.hear(batch)
			return true
		})
		if ctx.Err() != nil {
			return
		}
		d.opts.Logger.Warn("answers cannot be watched: trying again", "err", err)
		select {
		case <-time.After(followRetry):
		case <-ctx.Done():
		}
	}
}

// hear takes in a batch of any answers' events.
func (d *Desk) hear(batch broker.Batch) {
	if len(batch.Events) == 0 && batch.Gap == nil {
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if batch.Gap != nil {
		for subject, w := range d.answers { // it may be another stream
			w.state = unknown
			d.dropLocked(subject)
		}
	}
	for _, e := range batch.Events {
		if id, ok := d.idOf(e.Subject); ok {
			d.hearLocked(&e.Event, id, now)
		}
	}
}

func (d *Desk) hearLocked(e *broker.Event, id string, now time.Time) {
	w := d.lookLocked(e.Subject, id)
	if w == nil {
		return
	}
	if e.Type == TypeAsk {
		w.begun, w.size, w.alive, w.missed, w.stopBy = false, 0, false, 0, time.Time{}
	} else {
		w.begun = true
		w.size += int64(len(e.Data))
	}
	w.state, w.last, w.heard = open, e.ID.Seq, now
	if e.End {
		w.state = ended
		d.tally.end(e)
		d.dropLocked(e.Subject)
	}
}

const (
	// watchInterval is how often all answers are looked at.
	watchInterval = 250 * time.Millisecond
	// watchers bounds what is done about answers at a time.
	watchers = 64
	// actionTimeout bounds each.
	actionTimeout = 5 * time.Second
	// probeTimeout bounds the wait for a worker's word, and probeAgain is when it is asked
	// again where nobody was there.
	probeTimeout = time.Second
	probeAgain   = time.Second
)

// watch looks at all answers now and then, and does what has to be done, until ctx is
// done.
func (d *Desk) watch(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, watchers)
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for subject, act := range d.due(time.Now()) {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				ctx, cancel := context.WithTimeout(ctx, actionTimeout)
				defer cancel()
				d.act(ctx, subject, act)
			})
		}
	}
}

// action does something about an answer. It is given what was known when it became due.
type action func(ctx context.Context, d *Desk, subject string, w watched) error

func (d *Desk) act(ctx context.Context, subject string, do action) {
	d.mu.Lock()
	w := d.answers[subject]
	if w == nil {
		d.mu.Unlock()
		return
	}
	seen := *w
	d.mu.Unlock()
	err := do(ctx, d, subject, seen)
	if err != nil && ctx.Err() == nil && !errors.Is(err, broker.ErrUnavailable) {
		d.opts.Logger.Warn("an answer cannot be watched", "answer", seen.id, "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.busy = false
}

// due returns what is to be done now, by subject. Without a connection that is nothing,
// and no silence counts.
func (d *Desk) due(now time.Time) map[string]action {
	connected := d.opts.Conn.IsConnected()
	actions := map[string]action{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for subject, w := range d.answers {
		if !connected {
			w.heard = now
			continue
		}
		if act := d.dueLocked(w, now); act != nil && !w.busy {
			w.busy = true
			actions[subject] = act
		}
	}
	return actions
}

func (d *Desk) dueLocked(w *watched, now time.Time) action {
	switch quiet := now.Sub(w.heard); {
	case w.state == unknown:
		return resolve
	case w.state == ended:
		return nil
	case !w.stopBy.IsZero() && now.After(w.stopBy):
		return end(Stopped)
	case w.size > d.opts.MaxBytes:
		return end(TooLarge)
	case w.alive && w.missed > 1:
		return end(WorkerGone)
	case !w.begun && quiet > d.opts.FirstTimeout:
		return end(FirstEventLate)
	case w.begun && quiet > d.opts.SilenceTimeout:
		return end(Silent)
	case d.opts.Abandoned > 0 && w.stopBy.IsZero() && w.readers == 0 && now.Sub(w.left) > d.opts.Abandoned:
		return abandon
	case now.Sub(w.probed) > d.probeAfter(w) && (quiet > d.opts.ProbeInterval || !w.alive):
		return probe
	}
	return nil
}

// probeAfter is how long after a probe the next one follows. The first one comes soon,
// since a worker that has never answered is not missed.
func (d *Desk) probeAfter(w *watched) time.Duration {
	if w.missed > 0 || !w.alive && !w.begun {
		return min(probeAgain, d.opts.ProbeInterval)
	}
	return d.opts.ProbeInterval
}

// resolve finds out where an answer stands of which nothing has been heard.
func resolve(ctx context.Context, d *Desk, subject string, _ watched) error {
	last, isEnd, ok := d.opts.Log.LastOf(subject)
	if !ok {
		var err error
		if last, isEnd, ok, err = d.opts.History.LastOf(ctx, subject); err != nil {
			return fmt.Errorf("look at answer: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.answers[subject]
	if w == nil || w.state != unknown {
		return nil
	}
	if !ok || isEnd {
		w.state = ended
		d.dropLocked(subject)
		return nil
	}
	w.state, w.last, w.heard, w.begun = open, last.Seq, time.Now(), true
	return nil
}

// probe asks whether the worker is still there. That nobody listens counts only of one
// that has answered before; one that does not answer in time may be busy.
func probe(ctx context.Context, d *Desk, subject string, seen watched) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := d.opts.Conn.RequestWithContext(ctx, aliveSubject(seen.id), nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.answers[subject]
	if w == nil {
		return nil
	}
	w.probed = time.Now()
	switch {
	case err == nil:
		w.alive, w.missed = true, 0
	case errors.Is(err, nats.ErrNoResponders) && w.alive && w.last == seen.last:
		w.missed++
	default:
		w.missed = 0
	}
	return nil
}

// end returns what ends an answer for the reason, after the event that is its last one so
// far (A3), and has its worker stop.
func end(r Reason) action {
	return func(ctx context.Context, d *Desk, subject string, w watched) error {
		return d.fail(ctx, subject, w.last, newFailure(r))
	}
}

// fail stores that an answer went wrong, unless something has come after last meanwhile.
func (d *Desk) fail(ctx context.Context, subject string, last uint64, f *Failure) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	p := broker.Publication{Subject: subject, Type: TypeError, End: true, Data: f.data()}
	_, err := d.opts.Publisher.PublishAfter(ctx, p, last)
	if errors.Is(err, broker.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end answer: %w", err)
	}
	if id, ok := d.idOf(subject); ok {
		_ = d.opts.Conn.Publish(cancelSubject(id), nil) // without a connection it cannot be told
	}
	return nil
}
