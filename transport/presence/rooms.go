package presence

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"ringcast/broker"
)

// body is the data of an event.
type body struct {
	// Subject is the one that Identities have come to or left.
	Subject    string   `json:"subject"`
	Identities []string `json:"identities"`
	// Count is how many are there after it.
	Count int `json:"count"`
}

// rooms are what the events add up to, up to and including the position at.
type rooms struct {
	bySubject map[string]map[string]member
	at        broker.ID
	// complete reports that at has once been the end of the log.
	complete bool
}

// member is one who is there.
type member struct {
	since int64  // when that was first told, in Unix nanoseconds
	seq   uint64 // the event that told it last
}

func (r *rooms) has(p pair) (member, bool) {
	m, ok := r.bySubject[p.subject][p.identity]
	return m, ok
}

// Member is one who is on a subject.
type Member struct {
	Identity string    `json:"identity"`
	Since    time.Time `json:"since"`
}

// Room is who is on a subject.
type Room struct {
	Present []Member // sorted by Identity
	// At is the position up to which the events were taken in.
	At broker.ID
}

// Room returns who is on the subject; ok is false while that is not known.
func (t *Tracker) Room(subject string) (room Room, ok bool) {
	room, ok = t.room(subject)
	slices.SortFunc(room.Present, func(a, b Member) int { return strings.Compare(a.Identity, b.Identity) })
	return room, ok
}

func (t *Tracker) room(subject string) (room Room, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.complete {
		return Room{}, false
	}
	members := t.bySubject[subject]
	room = Room{Present: make([]Member, 0, len(members)), At: t.at}
	for identity, m := range members {
		room.Present = append(room.Present, Member{identity, time.Unix(0, m.since).UTC()})
	}
	return room, true
}

const (
	// followRetry is how long to wait where the events cannot be read.
	followRetry = time.Second
	// followPeriod is how often the position is moved on though nothing has come, so
	// that a client can resume from it.
	followPeriod = 5 * time.Second
)

// follow adds the events up until ctx is done.
func (t *Tracker) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := t.followOnce(ctx)
		if errors.Is(err, context.Canceled) {
			return
		}
		t.opts.Logger.Warn("the events of presence cannot be read: trying again", "err", err)
		select {
		case <-time.After(followRetry):
		case <-ctx.Done():
		}
	}
}

// followOnce starts with the oldest event, and returns when they cannot be read.
func (t *Tracker) followOnce(ctx context.Context) error {
	sub, err := t.opts.Hub.Subscribe(broker.Request{Filter: t.events, From: broker.FromOldest})
	if err != nil {
		return err
	}
	defer sub.Close()
	t.begin()
	ticker := time.NewTicker(followPeriod)
	defer ticker.Stop()
	for {
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		t.add(batch)
		if batch.More {
			continue
		}
		select {
		case <-sub.Ready():
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin forgets everything.
func (t *Tracker) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.beginLocked()
}

func (t *Tracker) beginLocked() {
	t.rooms = rooms{bySubject: map[string]map[string]member{}}
	t.told, t.renewUpTo = 0, 0
}

// add takes in a batch. After a gap the stream is another one, or goes on with the
// oldest event that it holds: all that it holds is yet to come.
func (t *Tracker) add(batch broker.Batch) {
	if batch.Pending {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if batch.Gap != nil {
		t.beginLocked()
	}
	for _, d := range batch.Events {
		t.addLocked(&d.Event)
	}
	t.at = batch.Position
	if !t.complete && !batch.More {
		t.complete = true
		for p := range t.here { // what has to be told of them can only be seen now
			t.todo[p] = struct{}{}
		}
	}
}

// addLocked takes in an event. What a gateway would not have published is of no account.
func (t *Tracker) addLocked(e *broker.Event) {
	subject, _ := broker.PresenceOf(e.Subject)
	var b body
	if err := json.Unmarshal(e.Data, &b); err != nil || b.Subject != subject {
		return
	}
	room := t.bySubject[subject]
	for _, identity := range b.Identities {
		p := pair{subject, identity}
		switch {
		case e.Type == TypeJoin && identity != "" && len(identity) <= MaxIdentity:
			if room == nil {
				room = map[string]member{}
				t.bySubject[subject] = room
			}
			since := e.ID.Stamp
			if m, ok := room[identity]; ok {
				since = m.since
			}
			room[identity] = member{since, e.ID.Seq}
		case e.Type == TypeLeave:
			delete(room, identity)
		}
		if _, ok := t.here[p]; ok {
			t.todo[p] = struct{}{} // it may have become right, or wrong
		}
	}
	if len(room) == 0 {
		delete(t.bySubject, subject)
	}
}

// strangers returns the pairs that are present and not of this gateway.
func (t *Tracker) strangers() (pairs []pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for subject, members := range t.bySubject {
		for identity := range members {
			if p := (pair{subject, identity}); t.here[p] == nil {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}
