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

// The way of an event:
//
//	Append ──▶ pending (memory, read at once) ──commit──▶ the file
//
// and the file, key by key:
//
//	bucket  key                       value
//	meta    "format"                  format version, 2 bytes
//	meta    "state"                   floor, head, events, bytes, generation, CRC-32C
//	events  sequence, 8 bytes, b.e.   record: version, flags, stamp, subject, type, data, CRC-32C
//
// A commit costs the same hundred microseconds for one event as for a hundred, so
// they are collected: what Options.WriteInterval brings, or maxPending allows, is
// one commit. A process that is killed loses what was pending, and reads it from
// the stream again: the ring is a copy.
//
// The invariants, which the tests cite by number. In the file, at every commit:
//
//  1. The keys of events ascend strictly and lie above the floor; the last is
//     the head. Without events the head is the floor.
//  2. The state record agrees with the events: floor, head, number and bytes. It
//     is written in the transaction that changes them, so the floor moves with
//     the eviction and not after it.
//  3. The events are within the limits: MaxEvents, MaxBytes, MaxAge as of that
//     commit. The newest event stays even where it alone exceeds MaxBytes.
//     Until the next commit the ring exceeds them by what is pending.
//  4. What was appended is held, whole, until it is evicted, oldest first.
//     Sequences that were never appended are holes, not gaps.
//
// And in memory:
//
//  5. What is pending follows the file's head without a seam, and the bounds,
//     index and timeline tell of both: they change together with pending, and
//     with the state of the file after the commit that they describe. A reader
//     may therefore find more in the file than it was told, which it passes over,
//     never less, save for what lies at or below the floor of its transaction.
//  6. A read never skips in silence: what it passes over was looked at in a
//     transaction whose floor lay at or below the read's start, or it ends
//     with ErrEvicted.
//  7. Damage is never served and never fatal: a record that fails its checksum, a
//     page that cannot be read, a file that is no ring: ErrCorrupt, and a
//     Reset or an Open that begins with a fresh file.
//  8. An event leaves pending in one of four ways: it is in the file, or below the
//     floor, or dropped by a Reset, or the process ends. A commit that fails leaves
//     it there; when pending is full, Append makes the commit itself, and returns
//     why it cannot. So nothing is lost unseen, and nothing grows without bound.

// Ring is the newest part of a stream, in one bbolt file and, what is too new to be
// there, in memory. It implements broker.Log.
type Ring struct {
	path string
	opts Options

	// write makes changes to the file one at a time: a commit, Reset, the trim by
	// age, Close. It is held over disk writes. Readers never take it, and Append
	// only when pending is full.
	write sync.Mutex
	// store is replaced under write only, and used without a lock: a reader that
	// has the old one finishes with it or finds it closed.
	store atomic.Pointer[store]
	// dirty is set by a commit and cleared by the sync that covers it.
	dirty atomic.Bool
	// due fires when what is pending is to be committed. It is set when pending
	// begins.
	due *time.Timer

	// mu guards the fields below it. It is held for work in memory only, never
	// over the disk or a send. held.file changes under write and mu together, so
	// who holds write may read it without mu.
	mu     sync.RWMutex
	held   contents
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
	r := &Ring{path: path, opts: opts, due: newStoppedTimer(), stop: make(chan struct{}), done: make(chan struct{})}
	r.clear()
	s, st, err := openStore(path, opts, state{}, r.load, r.clear)
	if err != nil {
		return nil, fmt.Errorf("open ring: %w", err)
	}
	r.store.Store(s)
	r.held.file = st
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

// Append implements broker.Log. It returns once the events can be read, which is
// before they are in the file; they are there within Options.WriteInterval. Where
// more are pending than fit, it waits until they are written. ErrBadBatch is a
// mistake of the caller's. After ErrCorrupt it returns ErrCorrupt until Reset. After
// any error the ring holds what it held before, or less.
func (r *Ring) Append(events []broker.Event) error {
	if len(events) == 0 {
		return nil
	}
	for {
		added, err := r.add(events)
		if !added && err == nil {
			err = r.flush()
		}
		if err != nil {
			return fmt.Errorf("append to ring: %w", err)
		}
		if added {
			return nil
		}
	}
}

// add makes events pending. It does not where those that are leave no room, nor
// where the ring has failed: it may be about to have another file, which flush
// waits for.
func (r *Ring) add(events []broker.Event) (added bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false, ErrClosed
	}
	if err := checkBatch(r.held.head().Seq, events); err != nil {
		return false, err
	}
	if r.failed != nil || !r.held.hasRoom(r.opts.maxPending(), events) {
		return false, nil
	}
	if len(r.held.pending) == 0 {
		r.due.Reset(r.opts.WriteInterval)
	}
	r.held.add(events)
	r.indexLocked(events)
	return true, nil
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

// Reset implements broker.Log. After ErrCorrupt it moves the damaged file aside,
// as Open does, and begins a fresh one. What is pending is dropped.
func (r *Ring) Reset(at broker.ID) error {
	r.write.Lock()
	defer r.write.Unlock()
	err := r.usable()
	if errors.Is(err, ErrClosed) {
		return err
	}
	c := change{state: r.emptyAt(at), cleared: true, settled: len(r.look().pending)}
	if err == nil {
		err = r.store.Load().update(func(tx *bbolt.Tx) error {
			return errors.Join(dropEvents(tx), putState(tx, c.state))
		})
		if err == nil {
			r.publish(c)
			return nil
		}
	}
	if err := r.recreate(c, err); err != nil {
		return fmt.Errorf("reset ring: %w", err)
	}
	return nil
}

// emptyAt returns the state of the ring when it begins anew. The write lock is held.
func (r *Ring) emptyAt(at broker.ID) state {
	return state{floor: at, head: at, generation: r.held.file.generation + 1}
}

// dropEvents evicts all events at once.
func dropEvents(tx *bbolt.Tx) error {
	if err := tx.DeleteBucket(bucketEvents); err != nil {
		return err
	}
	_, err := tx.CreateBucket(bucketEvents)
	return err
}

// recreate begins a fresh file in which there is nothing yet, as c says, because of
// cause. A damaged file is moved aside; one that does not fit the disk is removed,
// for its space is what is missing. The write lock is held.
func (r *Ring) recreate(c change, cause error) error {
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
	s, _, err := openStore(r.path, r.opts, c.state, none, func() {})
	if err != nil {
		return r.fail(asCorrupt(err))
	}
	r.store.Store(s)
	r.publish(c)
	r.mu.Lock()
	r.failed = nil
	r.mu.Unlock()
	return nil
}

// look returns what the ring holds.
func (r *Ring) look() contents {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.held
}

// Bounds implements broker.Log. It does not touch the disk.
func (r *Ring) Bounds() broker.Bounds {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.held.bounds()
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
	st, subjects := r.held.state(), r.index.subjects()
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

// Close commits what is pending, syncs and closes the file, once reads that have
// begun have ended. Further calls return ErrClosed, as do Append, Reset and the
// reads that do not only look at the index.
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
	var err error
	if r.failed == nil {
		err = r.writePending()
	}
	s := r.store.Load()
	if r.failed != nil {
		s.abandon(r.failed)
	} else {
		err = errors.Join(err, s.close())
	}
	if err != nil {
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
