package replay

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ringcast/broker"
)

// trimChunk is how many events one transaction evicts where it does nothing
// else: bbolt takes every page that it changes into memory.
const trimChunk = 1 << 14

// evicted is what a transaction evicts: sequences, and for the index subjects,
// which lie in one buffer to save an allocation for each.
type evicted struct {
	seqs []uint64
	text []byte
	ends []int // of each subject in text
}

func (v *evicted) add(rec *record) {
	v.seqs = append(v.seqs, rec.id.Seq)
	v.text = append(v.text, rec.subject()...)
	v.ends = append(v.ends, len(v.text))
}

// subjects yields the subject of every event, in order.
func (v *evicted) subjects(yield func([]byte) bool) {
	start := 0
	for _, end := range v.ends {
		if !yield(v.text[start:end]) {
			return
		}
		start = end
	}
}

var _ iter.Seq[[]byte] = (*evicted)(nil).subjects

// limits are Options as of one moment.
type limits struct {
	events int64
	cost   int64
	cutoff int64 // stamps below are too old
}

func (r *Ring) limits() limits {
	return limits{
		events: int64(r.opts.MaxEvents),
		cost:   r.opts.MaxBytes,
		cutoff: r.opts.now().Add(-r.opts.MaxAge).UnixNano(),
	}
}

// evict reports whether oldest, the oldest event of st, has to go. The last one
// left may exceed a limit of size, or it could never be read.
func (l limits) evict(st *state, oldest broker.ID) bool {
	return l.exceeded(st) || oldest.Stamp < l.cutoff
}

func (l limits) exceeded(st *state) bool {
	return st.events > 1 && (st.events > l.events || st.cost() > l.cost)
}

// drop takes st's oldest event out.
func (st *state) drop(oldest broker.ID, size int64) {
	st.floor = oldest
	st.events--
	st.bytes -= size
}

// makeRoom evicts so that events fit the limits together with what is left, and
// returns the change that putting its added events will complete.
func (r *Ring) makeRoom(tx *bbolt.Tx, events []broker.Event) (change, error) {
	lim, next := r.limits(), r.state
	batch := state{}
	for i := range events {
		batch.events++
		batch.bytes += int64(events[i].Size())
	}
	next.head = events[len(events)-1].ID
	c := change{added: events}
	if lim.exceeded(&batch) { // not even the batch fits: no need to look at what it replaces
		c.cleared = true
		next.events, next.bytes = batch.events, batch.bytes
	} else {
		held := next.events
		next.events += batch.events
		next.bytes += batch.bytes
		var err error
		if c.evicted, err = collect(tx, &next, held, lim.evict); err != nil {
			return c, err
		}
		if c.cleared = int64(len(c.evicted.seqs)) == held; c.cleared {
			c.evicted = evicted{}
		}
	}
	if c.cleared {
		for len(c.added) > 0 && lim.evict(&next, c.added[0].ID) {
			next.drop(c.added[0].ID, int64(c.added[0].Size()))
			c.added = c.added[1:]
		}
	}
	c.state = next
	return c, remove(tx, &c)
}

// collect drops the oldest of the held events from st for as long as evict says
// so, and returns which they were. They are still in the file.
func collect(tx *bbolt.Tx, st *state, held int64, evict func(*state, broker.ID) bool) (evicted, error) {
	var out evicted
	cursor := tx.Bucket(bucketEvents).Cursor()
	for k, v := cursor.First(); k != nil && held > 0; k, v = cursor.Next() {
		rec, err := parseRecord(k, v)
		if err != nil {
			return out, asCorrupt(err)
		}
		if !evict(st, rec.id) {
			break
		}
		st.drop(rec.id, rec.size())
		out.add(&rec)
		held--
	}
	return out, nil
}

// remove deletes what c evicts, by key: a cursor that deletes as it goes may
// skip keys.
func remove(tx *bbolt.Tx, c *change) error {
	if c.cleared {
		return dropEvents(tx)
	}
	bucket := tx.Bucket(bucketEvents)
	bucket.FillPercent = fillPercent
	key := make([]byte, 0, keySize)
	for _, seq := range c.evicted.seqs {
		key = appendKey(key[:0], seq)
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// evictOldest evicts, in one transaction, for as long as evict says so, and
// returns how many events that were. The write lock is held.
func (r *Ring) evictOldest(evict func(*state, broker.ID) bool) (int, error) {
	var c change
	err := r.store.Load().update(func(tx *bbolt.Tx) error {
		c = change{state: r.state}
		var err error
		if c.evicted, err = collect(tx, &c.state, r.state.events, evict); err != nil || len(c.evicted.seqs) == 0 {
			return errors.Join(err, errNothing)
		}
		return errors.Join(remove(tx, &c), putState(tx, c.state))
	})
	if errors.Is(err, errNothing) && !errors.Is(err, broker.ErrCorrupt) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r.publish(c)
	return len(c.evicted.seqs), nil
}

// errNothing rolls back a transaction that would change nothing.
var errNothing = errors.New("nothing to evict")

// trim evicts at most trimChunk events that exceed the limits, and returns how
// many they were. The write lock is held.
func (r *Ring) trim() (int, error) {
	lim, n := r.limits(), 0
	return r.evictOldest(func(st *state, oldest broker.ID) bool {
		n++
		return n <= trimChunk && lim.evict(st, oldest)
	})
}

// trimAll evicts what exceeds the limits.
func (r *Ring) trimAll() error {
	for {
		if n, err := r.trim(); err != nil || n == 0 {
			return err
		}
	}
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

// commitInLessSpace commits events after the disk was full: without the older
// half of the ring, and if that does not help in a new file.
func (r *Ring) commitInLessSpace(events []broker.Event, cause error) error {
	half := (r.state.events + 1) / 2
	_, err := r.evictOldest(func(st *state, _ broker.ID) bool { return st.events > half })
	if err == nil {
		r.opts.Logger.Warn("disk is full: evicted the older half of the ring",
			"file", r.path, "events", r.state.events, "error", cause)
		err = r.commit(events)
	}
	if !isDiskFull(err) {
		return err
	}
	at := r.state.head
	r.opts.Logger.Warn("disk is full: the ring begins a new file", "file", r.path, "at", at.String(), "error", err)
	next := state{floor: at, head: at, generation: r.state.generation + 1}
	if err := r.recreate(next, err); err != nil {
		return err
	}
	if err := r.commit(events); err != nil {
		return fmt.Errorf("in a new file: %w", err)
	}
	return nil
}

// maintain syncs and trims by age until Close.
func (r *Ring) maintain() {
	defer close(r.done)
	sync := time.NewTicker(r.opts.SyncInterval)
	defer sync.Stop()
	age := time.NewTicker(ageInterval(r.opts.MaxAge))
	defer age.Stop()
	syncs := true
	for {
		select {
		case <-r.stop:
			return
		case <-sync.C:
			syncs = r.sync(syncs)
		case <-age.C:
			r.trimByAge()
		}
	}
}

// ageInterval is how late an idle ring may be to evict.
func ageInterval(maxAge time.Duration) time.Duration {
	return min(max(maxAge/10, 100*time.Millisecond), time.Minute)
}

// sync forces what was committed to disk, and returns whether that works. It
// says so when it no longer does, once.
func (r *Ring) sync(works bool) bool {
	if !r.dirty.Swap(false) {
		return works
	}
	err := r.store.Load().file.Sync() // not under a lock: a sync may take seconds
	if errors.Is(err, os.ErrClosed) {
		return works // the file was replaced, and the new one is dirty by itself
	}
	if err != nil && works {
		r.opts.Logger.Warn("ring file cannot be synced: a power cut may damage it", "file", r.path, "error", err)
	}
	return err == nil
}

// trimByAge evicts what is too old, a chunk at a time so that Append can come in
// between.
func (r *Ring) trimByAge() {
	for n := 1; n > 0; {
		r.write.Lock()
		err := r.usable()
		if err == nil {
			if n, err = r.trim(); err != nil {
				r.noteDamage(r.store.Load(), err)
				r.opts.Logger.Warn("ring could not be trimmed", "file", r.path, "error", err)
			}
		}
		r.write.Unlock()
		if err != nil {
			return
		}
	}
}
