package replay

import (
	"errors"
	"iter"

	"go.etcd.io/bbolt"

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

// makeRoom evicts from the file so that the pending events fit the limits together
// with what is left, and returns the change that putting its added events will
// complete: some of them or all, where they exceed the limits by themselves.
func (r *Ring) makeRoom(tx *bbolt.Tx, events []broker.Event) (change, error) {
	lim, next := r.limits(), r.held.file
	batch := state{}
	for i := range events {
		batch.events++
		batch.bytes += int64(events[i].Size())
	}
	next.head = events[len(events)-1].ID
	c := change{added: events, settled: len(events)}
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

// evictOldest evicts from the file, in one transaction, for as long as evict says
// so, and returns how many events that were. The write lock is held.
func (r *Ring) evictOldest(evict func(*state, broker.ID) bool) (int, error) {
	var c change
	err := r.store.Load().update(func(tx *bbolt.Tx) error {
		c = change{state: r.held.file}
		var err error
		if c.evicted, err = collect(tx, &c.state, r.held.file.events, evict); err != nil || len(c.evicted.seqs) == 0 {
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
