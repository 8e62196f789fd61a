package replay

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ringcast/broker"
)

// flush commits what is pending.
func (r *Ring) flush() error {
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.usable(); err != nil {
		return err
	}
	return r.writePending()
}

// writePending commits what is pending, in one transaction, which also evicts:
// also of the pending events, where they exceed the limits by themselves; those are
// not written at all. On a full disk it evicts the older half of the ring and tries
// again, and then begins a new file. After an error everything is pending still. The
// write lock is held.
func (r *Ring) writePending() error {
	events := r.look().pending
	if len(events) == 0 {
		return nil
	}
	start := time.Now()
	err := r.commit(events)
	if isDiskFull(err) {
		err = r.commitInLessSpace(events, err)
	}
	r.opts.Committed(Commit{Events: len(events), Took: time.Since(start), Err: err})
	if err != nil {
		r.noteDamage(r.store.Load(), err)
		return fmt.Errorf("write pending events: %w", err)
	}
	return nil
}

// change is what one transaction did to the file, for publish to repeat in memory.
type change struct {
	state   state
	cleared bool // everything that the file held before was evicted
	evicted evicted
	// settled is how many of the pending events, the oldest, are so no longer:
	// those added to the file, and before them those that were evicted at once.
	settled int
	added   []broker.Event
}

// commit appends the pending events and evicts, in one transaction. The write lock
// is held.
func (r *Ring) commit(events []broker.Event) error {
	var c change
	err := r.store.Load().update(func(tx *bbolt.Tx) error {
		var err error
		if c, err = r.makeRoom(tx, events); err != nil {
			return err
		}
		if err := putEvents(tx, c.added); err != nil {
			return err
		}
		return putState(tx, c.state)
	})
	if err != nil {
		return err
	}
	r.publish(c)
	return nil
}

func putEvents(tx *bbolt.Tx, events []broker.Event) error {
	size := 0
	for i := range events {
		size += recordSize(&events[i])
	}
	// bbolt keeps the values until the commit, so they share one buffer.
	values, key := make([]byte, 0, size), make([]byte, 0, keySize)
	bucket := tx.Bucket(bucketEvents)
	bucket.FillPercent = fillPercent
	for i := range events {
		start := len(values)
		key = appendKey(key[:0], events[i].ID.Seq)
		values = appendRecord(values, key, &events[i])
		if err := bucket.Put(key, values[start:]); err != nil {
			return err
		}
	}
	return nil
}

// publish makes a committed change visible. The write lock is held.
func (r *Ring) publish(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.settle(c.state, c.settled)
	if c.cleared {
		r.clear()
		r.indexLocked(c.added)
		r.indexLocked(r.held.pending)
	} else {
		for subject := range c.evicted.subjects {
			r.index.evict(subject)
		}
		r.times.evict(c.state.floor.Seq)
	}
	if len(r.held.pending) > 0 { // appended meanwhile
		r.due.Reset(r.opts.WriteInterval)
	}
	r.dirty.Store(true)
}

// indexLocked takes events into the index and the timeline.
func (r *Ring) indexLocked(events []broker.Event) {
	for i := range events {
		e := &events[i]
		r.index.add([]byte(e.Subject), e.ID, e.End)
		r.times.add(e.ID)
	}
}

// commitInLessSpace commits events after the disk was full: without the older half
// of the ring, and if that does not help in a new file. Events that do not fit even
// there are evicted: whoever wants them reads them from the stream.
func (r *Ring) commitInLessSpace(events []broker.Event, cause error) error {
	half := (r.held.file.events + 1) / 2
	_, err := r.evictOldest(func(st *state, _ broker.ID) bool { return st.events > half })
	if err == nil {
		r.opts.Logger.Warn("disk is full: evicted the older half of the ring",
			"file", r.path, "events", r.held.file.events, "error", cause)
		err = r.commit(events)
	}
	if !isDiskFull(err) {
		return err
	}
	at := r.held.file.head
	r.opts.Logger.Warn("disk is full: the ring begins a new file", "file", r.path, "at", at.String(), "error", err)
	if err := r.recreate(change{state: r.emptyAt(at), cleared: true}, err); err != nil {
		return err
	}
	if err = r.commit(events); !isDiskFull(err) {
		return err
	}
	at = events[len(events)-1].ID
	r.opts.Logger.Warn("disk is full: not even the newest events fit it, the ring goes on without them",
		"file", r.path, "at", at.String(), "events", len(events), "error", err)
	return r.skipTo(at, len(events))
}

// skipTo evicts everything up to at, of which n events are pending. The write lock
// is held.
func (r *Ring) skipTo(at broker.ID, n int) error {
	c := change{state: state{floor: at, head: at, generation: r.held.file.generation}, cleared: true, settled: n}
	err := r.store.Load().update(func(tx *bbolt.Tx) error {
		return errors.Join(dropEvents(tx), putState(tx, c.state))
	})
	if err != nil {
		return err
	}
	r.publish(c)
	return nil
}

// isDiskFull reports whether err says that there is no space for a write.
func isDiskFull(err error) bool {
	if errors.Is(err, bolterrors.ErrMaxSizeReached) {
		return true
	}
	for _, full := range [...]error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		// Where it grows the file, bbolt keeps only the text of the error.
		if errors.Is(err, full) || err != nil && strings.Contains(err.Error(), full.Error()) {
			return true
		}
	}
	return false
}
