package replay

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"ringcast/broker"
)

// The file, key by key:
//
//	bucket  key                       value
//	meta    "format"                  format version, 2 bytes
//	meta    "state"                   floor, head, events, bytes, generation, CRC-32C
//	events  sequence, 8 bytes, b.e.   record: version, flags, stamp, subject, type, data, CRC-32C
//
// The invariants, which the tests cite by number. At every commit:
//
//  1. The keys of events ascend strictly and lie above the floor; the last is
//     the head. Without events the head is the floor.
//  2. The state record agrees with the events: floor, head, number and bytes. It
//     is written in the transaction that changes them, so the floor moves with
//     the eviction and not after it.
//  3. The events are within the limits: MaxEvents, MaxBytes, MaxAge as of that
//     commit. The newest event stays even where it alone exceeds MaxBytes.
//  4. What was appended is held, whole, until it is evicted, oldest first.
//     Sequences that were never appended are holes, not gaps.
//
// And in memory:
//
//  5. Bounds, index and timeline change together, after the commit that they
//     describe. A reader may therefore find more in the file than in the index,
//     never less, save for what lies at or below the floor of its transaction.
//  6. A read never skips in silence: what it passes over was looked at in a
//     transaction whose floor lay at or below the read's start, or it ends
//     with ErrEvicted.
//  7. Damage is never served and never fatal: a record that fails its checksum, a
//     page that cannot be read, a file that is no ring: ErrCorrupt, and a
//     Reset or an Open that begins with a fresh file.

// Ring is the newest part of a stream in one bbolt file. It implements
// broker.Log.
type Ring struct {
	path string
	opts Options

	// write makes changes to the file one at a time: Append, Reset, the trim by
	// age, Close. It is held over disk writes. Readers never take it.
	write sync.Mutex
	// store is replaced under write only, and used without a lock: a reader that
	// has the old one finishes with it or finds it closed.
	store atomic.Pointer[store]
	// dirty is set by a commit and cleared by the sync that covers it.
	dirty atomic.Bool

	// mu guards the fields below it. It is held for work in memory only, never
	// over the disk or a send. They change under write and mu together, so the
	// one writer may read them without mu.
	mu     sync.RWMutex
	state  state
	index  index
	times  timeline
	failed error // ErrCorrupt, until a Reset
	closed bool

	stop chan struct{} // closed by Close, once
	done chan struct{} // closed by maintain when it returns
}

var _ broker.Log = (*Ring)(nil)

// Open opens the ring in the file at path, or begins one. A damaged file, or one
// of a format that this program does not know, is moved aside to
// path.corrupt-<time>, the newest three of which are kept, and the ring begins
// empty: it is a copy of a part of the stream and is filled again from there. What
// exceeds the limits is evicted. ErrLocked is returned when another process has the
// file open, and errors of the file system as they are.
func Open(path string, opts Options) (*Ring, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open ring: %w", err)
	}
	r := &Ring{path: path, opts: opts, stop: make(chan struct{}), done: make(chan struct{})}
	r.clear()
	s, st, err := openStore(path, opts, state{}, r.load, r.clear)
	if err != nil {
		return nil, fmt.Errorf("open ring: %w", err)
	}
	r.store.Store(s)
	r.state = st
	if err := r.trimAll(); err != nil {
		return nil, fmt.Errorf("open ring: trim to limits: %w", errors.Join(err, s.close()))
	}
	go r.maintain()
	return r, nil
}

// load takes an event from the file into the index.
func (r *Ring) load(rec *record) error {
	r.index.add(rec.subject(), rec.id, rec.end)
	r.times.add(rec.id)
	return nil
}

// clear empties what is held in memory.
func (r *Ring) clear() {
	r.index = newIndex()
	r.times = timeline{}
}

// Append implements broker.Log. It is one transaction, which also evicts: also
// of the events given, where they exceed the limits by themselves; those are not
// written at all. On a full disk it evicts the older half of the ring and tries
// again, and then begins a new file. ErrBadBatch is a mistake of the caller's;
// after any other error the ring holds what it held before, or less.
// After ErrCorrupt it returns ErrCorrupt until Reset.
func (r *Ring) Append(events []broker.Event) error {
	if len(events) == 0 {
		return nil
	}
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.usable(); err != nil {
		return err
	}
	if err := checkBatch(r.state.head.Seq, events); err != nil {
		return err
	}
	err := r.commit(events)
	if isDiskFull(err) {
		err = r.commitInLessSpace(events, err)
	}
	if err != nil {
		r.noteDamage(r.store.Load(), err)
		return fmt.Errorf("append to ring: %w", err)
	}
	return nil
}

// checkBatch verifies that events can follow head.
func checkBatch(head uint64, events []broker.Event) error {
	for i := range events {
		e := &events[i]
		switch {
		case e.ID.Seq <= head:
			return fmt.Errorf("%w: %s does not come after %d", ErrBadBatch, e.ID, head)
		case e.ID.Stamp < 0:
			return fmt.Errorf("%w: %s has no stamp", ErrBadBatch, e.ID)
		case e.Subject == "" || len(e.Subject) > maxSubject:
			return fmt.Errorf("%w: subject of %s has %d bytes: 1 to %d are allowed", ErrBadBatch, e.ID, len(e.Subject), maxSubject)
		case len(e.Type) > maxType:
			return fmt.Errorf("%w: type of %s has %d bytes: %d are allowed", ErrBadBatch, e.ID, len(e.Type), maxType)
		}
		head = e.ID.Seq
	}
	return nil
}

// change is what one transaction did, for publish to repeat in memory.
type change struct {
	state   state
	cleared bool // everything held before was evicted
	evicted evicted
	added   []broker.Event
}

// commit appends and evicts in one transaction. The write lock is held.
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

// publish makes a committed change visible.
func (r *Ring) publish(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.cleared {
		r.clear()
	}
	for subject := range c.evicted.subjects {
		r.index.evict(subject)
	}
	r.times.evict(c.state.floor.Seq)
	for i := range c.added {
		e := &c.added[i]
		r.index.add([]byte(e.Subject), e.ID, e.End)
		r.times.add(e.ID)
	}
	r.state = c.state
	r.dirty.Store(true)
}

// Reset implements broker.Log. After ErrCorrupt it moves the damaged file aside,
// as Open does, and begins a fresh one.
func (r *Ring) Reset(at broker.ID) error {
	r.write.Lock()
	defer r.write.Unlock()
	err := r.usable()
	if errors.Is(err, ErrClosed) {
		return err
	}
	next := state{floor: at, head: at, generation: r.state.generation + 1}
	if err == nil {
		err = r.store.Load().update(func(tx *bbolt.Tx) error {
			return errors.Join(dropEvents(tx), putState(tx, next))
		})
		if err == nil {
			r.publish(change{state: next, cleared: true})
			return nil
		}
	}
	if err := r.recreate(next, err); err != nil {
		return fmt.Errorf("reset ring: %w", err)
	}
	return nil
}

// dropEvents evicts all events at once.
func dropEvents(tx *bbolt.Tx) error {
	if err := tx.DeleteBucket(bucketEvents); err != nil {
		return err
	}
	_, err := tx.CreateBucket(bucketEvents)
	return err
}

// recreate begins a fresh file that stands at next, because of cause. A damaged
// file is moved aside; one that does not fit the disk is removed, for its space
// is what is missing. The write lock is held.
func (r *Ring) recreate(next state, cause error) error {
	r.fail(asCorrupt(cause)) // for those who read meanwhile
	old := r.store.Load()
	var err error
	if isDiskFull(cause) {
		err = os.Remove(r.path)
	} else {
		var aside string
		aside, err = moveAside(r.path)
		r.opts.Logger.Warn("ring file was damaged: it is moved aside, and the ring is filled again from the stream",
			"file", r.path, "moved_to", aside, "error", cause)
	}
	old.abandon(cause)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return r.fail(asCorrupt(err))
	}
	none := func(*record) error { return nil }
	s, st, err := openStore(r.path, r.opts, next, none, func() {})
	if err != nil {
		return r.fail(asCorrupt(err))
	}
	r.store.Store(s)
	r.publish(change{state: st, cleared: true})
	r.mu.Lock()
	r.failed = nil
	r.mu.Unlock()
	return nil
}

// Bounds implements broker.Log. It does not touch the disk.
func (r *Ring) Bounds() broker.Bounds {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.bounds()
}

// Stats describes a ring.
type Stats struct {
	Bounds   broker.Bounds
	Events   int64
	Bytes    int64 // sum of broker.Event.Size
	Cost     int64 // Bytes plus EventOverhead for each event: what MaxBytes limits
	Subjects int
	FileSize int64 // bytes on disk

	MaxEvents int
	MaxBytes  int64
	MaxAge    time.Duration
}

// Stats returns the ring's present figures. FileSize is 0 where it cannot be read.
func (r *Ring) Stats() Stats {
	r.mu.RLock()
	st, subjects := r.state, r.index.subjects()
	r.mu.RUnlock()
	s := Stats{
		Bounds: st.bounds(), Events: st.events, Bytes: st.bytes, Cost: st.cost(), Subjects: subjects,
		MaxEvents: r.opts.MaxEvents, MaxBytes: r.opts.MaxBytes, MaxAge: r.opts.MaxAge,
	}
	if info, err := r.store.Load().file.Stat(); err == nil {
		s.FileSize = info.Size()
	}
	return s
}

// Close syncs and closes the file, once reads that have begun have ended. Further
// calls return ErrClosed, as do Append, Reset and the reads that touch the file.
func (r *Ring) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return ErrClosed
	}
	close(r.stop)
	<-r.done
	r.write.Lock()
	defer r.write.Unlock()
	s := r.store.Load()
	if r.failed != nil {
		s.abandon(r.failed)
		return nil
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close ring: %w", err)
	}
	return nil
}

// usable returns why the ring cannot be written to.
func (r *Ring) usable() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return ErrClosed
	}
	return r.failed
}

// fail makes Append return err until the next Reset, and returns it.
func (r *Ring) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil || errors.Is(err, errPanic) {
		r.failed = err
	}
	return err
}

// noteDamage remembers an ErrCorrupt that s gave rise to.
func (r *Ring) noteDamage(s *store, err error) {
	if errors.Is(err, broker.ErrCorrupt) && s == r.store.Load() {
		r.fail(err)
	}
}
