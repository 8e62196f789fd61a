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
	unknown state = iota // it is to be looked up: somebody reads it, or it may have gone on unheard
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

	// accepted is the claim that a worker has taken, as far as this gateway asked it.
	accepted uint64
	// attempt is that of the claim, and disowned reports that the claim is one of this
	// gateway's on which it asked nobody.
	attempt  string
	disowned bool

	// alive reports that the worker has answered a probe, absent is since when nobody has
	// been there for one, and gone that this has been so for too long.
	alive  bool
	absent time.Time
	gone   bool
	probed time.Time
	// stopBy is when it has to have ended after it was told to stop; zero without that.
	stopBy time.Time

	// readers are the streams of it on this gateway, and left is since when there are none.
	readers int
	left    time.Time
	// busy: something is being done about it.
	busy bool
}

// wasHeard reports whether there was such an answer.
func (w *watched) wasHeard() bool { return w.last > 0 || w.accepted > 0 }

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

// follow hears all answers until ctx is done, and where they could not be read goes on from
// where it was: an end that is missed would leave an answer open here for ever.
func (d *Desk) follow(ctx context.Context) {
	req := broker.Request{Filter: d.events, From: broker.FromNow}
	for ctx.Err() == nil {
		err := d.read(ctx, req, nil, func(batch broker.Batch) bool {
			d.hear(batch)
			req.From = broker.FromID(batch.Position)
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
		for _, w := range d.answers { // it may be another stream
			w.state = unknown
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
		w.begun, w.size, w.alive, w.stopBy = false, 0, false, time.Time{}
		a, _ := d.parse(e)
		w.attempt, w.disowned = a.attempt, d.disownedLocked(a.attempt)
	} else {
		w.begun = true
		w.size += max(1, int64(len(e.Data))) // so that empty ones come to an end too
	}
	w.absent, w.gone = time.Time{}, false
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
		for subject, t := range d.due(time.Now()) {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				ctx, cancel := context.WithTimeout(ctx, actionTimeout)
				defer cancel()
				d.act(ctx, subject, t)
			})
		}
	}
}

// action does something about an answer. It is given what was known when it became due:
// it may have had to wait, and what the worker has said meanwhile is not to be the event
// after which it is found to be silent.
type action func(ctx context.Context, d *Desk, subject string, seen watched) error

// task is an action that has become due.
type task struct {
	do   action
	w    *watched
	seen watched
}

func (d *Desk) act(ctx context.Context, subject string, t task) {
	err := t.do(ctx, d, subject, t.seen)
	deaf := errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrNoStream) || errors.Is(err, broker.ErrOverloaded)
	if err != nil && ctx.Err() == nil && !deaf {
		d.opts.Logger.Warn("an answer cannot be watched", "answer", t.seen.id, "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t.w.busy = false
	if deaf {
		t.w.heard = time.Now() // who cannot be heard is not silent
	}
}

// due returns what is to be done now, by subject. Without a connection that is nothing,
// and neither silence nor absence counts.
func (d *Desk) due(now time.Time) map[string]task {
	connected := d.opts.Conn.IsConnected()
	tasks := map[string]task{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for subject, w := range d.answers {
		if !connected {
			w.heard, w.absent, w.gone = now, time.Time{}, false
			continue
		}
		if act := d.dueLocked(w, now); act != nil && !w.busy {
			w.busy = true
			tasks[subject] = task{act, w, *w}
		}
	}
	return tasks
}

func (d *Desk) dueLocked(w *watched, now time.Time) action {
	switch quiet := now.Sub(w.heard); {
	case w.state == unknown:
		return resolve
	case w.state == ended:
		return nil
	case w.disowned && !w.begun:
		return end(NotAccepted)
	case w.size > d.opts.MaxBytes:
		return end(TooLarge)
	case !w.stopBy.IsZero() && now.After(w.stopBy):
		return end(Stopped)
	case w.gone:
		return end(WorkerGone)
	case !w.begun && quiet > d.firstTimeout(w):
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

// firstTimeout is how long after the claim the first event may come. The gateway that the
// question came by counts from when it was accepted, and the others cannot know of that.
func (d *Desk) firstTimeout(w *watched) time.Duration {
	if w.accepted == w.last {
		return d.opts.FirstTimeout
	}
	return d.opts.AcceptTimeout + d.opts.FirstTimeout
}

// noteAccepted notes that a worker has taken the question.
func (d *Desk) noteAccepted(a Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.lookLocked(a.Subject, a.ID); w != nil {
		w.accepted = a.claim
		if !w.begun {
			w.heard = time.Now()
		}
	}
}

// probeAfter is how long after a probe the next one follows. The first one comes soon,
// since a worker that has never answered is not missed.
func (d *Desk) probeAfter(w *watched) time.Duration {
	if !w.absent.IsZero() || !w.alive && !w.begun {
		return min(probeAgain, d.opts.ProbeInterval)
	}
	return d.opts.ProbeInterval
}

// resolve finds out where an answer stands of which nothing has been heard. One that was
// under way, and of which the stream has nothing any more, still is: its worker goes on in
// whatever stream there is now, or is found to be silent, which is the end that its readers
// wait for.
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
	switch {
	case ok && !isEnd:
		w.state, w.last, w.heard, w.begun = open, last.Seq, time.Now(), true
	case !ok && w.wasHeard():
		w.state, w.heard = open, time.Now()
	default:
		w.state = ended
		d.dropLocked(subject)
	}
	return nil
}

// probe asks whether the worker is still there. That nobody listens counts only of one
// that has answered before, and when it has been so for the interval: a worker whose NATS
// server is restarted is back within seconds. One that does not answer in time may be busy.
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
	now := time.Now()
	w.probed = now
	switch {
	case !errors.Is(err, nats.ErrNoResponders) || w.last != seen.last:
		w.alive = w.alive || err == nil
		w.absent = time.Time{}
	case !w.alive:
	case w.absent.IsZero():
		w.absent = now
	default:
		w.gone = now.Sub(w.absent) > d.opts.ProbeInterval
	}
	return nil
}

// end returns what ends an answer for the reason, after the event that is its last one so
// far (A3), and has its worker stop.
func end(r Reason) action {
	return func(ctx context.Context, d *Desk, subject string, seen watched) error {
		err := d.fail(ctx, subject, seen.last, newFailure(r))
		if errors.Is(err, broker.ErrConflict) {
			return d.endOvertaken(ctx, subject, seen.id, r)
		}
		return err
	}
}

// endOvertaken ends an answer of which the stream has another last event than was heard.
// What the worker has said in time is heard soon, and nothing is to be done. But where
// the stream has nothing of it any more, nothing will be heard; and one that is too large,
// or was stopped, ends also while its worker goes on: that is told first, since nothing gets
// in between the events of a fast one.
func (d *Desk) endOvertaken(ctx context.Context, subject, id string, r Reason) error {
	if r == TooLarge || r == Stopped {
		d.cancel(ctx, id)
	}
	last, isEnd, held, err := d.opts.History.LastOf(ctx, subject)
	switch {
	case err != nil:
		return fmt.Errorf("end answer: %w", err)
	case held && (isEnd || r != TooLarge && r != Stopped):
		return nil
	}
	err = d.fail(ctx, subject, last.Seq, newFailure(r))
	if errors.Is(err, broker.ErrConflict) {
		return nil // it is looked at again
	}
	return err
}

// fail stores that an answer went wrong, and has its worker stop. Where something has come
// after last the error is broker.ErrConflict.
func (d *Desk) fail(ctx context.Context, subject string, last uint64, f *Failure) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	p := broker.Publication{Subject: subject, Type: TypeError, End: true, Data: f.data()}
	if _, err := d.opts.Publisher.PublishAfter(ctx, p, last); err != nil {
		return fmt.Errorf("end answer: %w", err)
	}
	if id, ok := d.idOf(subject); ok {
		_ = d.opts.Conn.Publish(cancelSubject(id), nil) // without a connection it cannot be told
	}
	return nil
}
