package replay

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ringcast/broker"
)

// A read transaction keeps bbolt from using pages again that were freed since it
// began, so a read of any length is made of transactions that look at most at
// this much.
const (
	stepEvents = 1 << 13
	stepBytes  = 8 << 20
)

// errAgain makes a read look at the index again: the ring was reset between the
// look and the transaction.
var errAgain = errors.New("the ring was reset meanwhile")

// view runs fn in a read transaction.
func (r *Ring) view(fn func(*bbolt.Tx) error) error {
	s := r.store.Load()
	err := s.view(fn)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		if err := r.usable(); err != nil {
			return err
		}
		return errAgain // a Reset has put another file in its place
	}
	r.noteDamage(s, err)
	return err
}

// Read implements broker.Log. A filter that selects a small part of the ring is
// read by index, any other by scan. After ErrCorrupt other parts of the ring may
// still be read.
func (r *Ring) Read(after uint64, f broker.Filter, lim broker.Limits) (broker.Page, error) {
	p := pageReader{ring: r, filter: f, lim: lim}
	p.page.Position = broker.ID{Seq: after, Stamp: broker.NoStamp}
	for !p.done {
		err := p.step()
		switch {
		case err == nil || errors.Is(err, errAgain):
		case errors.Is(err, broker.ErrEvicted) && len(p.page.Events) > 0:
			p.page.More = true // what was read is whole; the next read is the one that comes too late
			return p.page, nil
		default:
			return broker.Page{}, fmt.Errorf("read ring after %d: %w", after, err)
		}
	}
	return p.page, nil
}

// pageReader collects a page in one step or more, each one transaction.
type pageReader struct {
	ring   *Ring
	filter broker.Filter
	lim    broker.Limits
	page   broker.Page
	bytes  int
	done   bool
}

// step reads on from the page's position.
func (p *pageReader) step() error {
	r, after := p.ring, p.page.Position.Seq
	r.mu.RLock()
	st, closed := r.state, r.closed
	var seqs []uint64
	var all, byIndex bool
	if after >= st.floor.Seq && after < st.head.Seq {
		span := int(min(st.head.Seq-after, uint64(st.events)))
		seqs, all, byIndex = r.index.after(after, p.filter, p.most(), span)
	}
	r.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case after < st.floor.Seq:
		return broker.ErrEvicted
	case after >= st.head.Seq:
		p.complete(st.head)
		return nil
	case byIndex && len(seqs) == 0:
		p.complete(st.head)
		return nil
	}
	return r.view(func(tx *bbolt.Tx) error {
		now, err := getState(tx)
		switch {
		case err != nil:
			return err
		case now.generation != st.generation:
			return errAgain
		case after < now.floor.Seq:
			return broker.ErrEvicted
		}
		cursor := tx.Bucket(bucketEvents).Cursor()
		if byIndex {
			return p.lookUp(cursor, seqs, all, st.head)
		}
		return p.scan(cursor, after, now.head)
	})
}

// most is how many events a step takes from the index: what the page still
// lacks, or more where a type filter may leave some out.
func (p *pageReader) most() int {
	return min(max(p.lim.Events-len(p.page.Events), scanAlways), stepEvents)
}

// complete ends the page at head, or where it stands if that is later.
func (p *pageReader) complete(head broker.ID) {
	if head.Seq >= p.page.Position.Seq {
		p.page.Position = head
	}
	p.done = true
}

// scan reads every event after a sequence; head is the transaction's.
func (p *pageReader) scan(cursor *bbolt.Cursor, after uint64, head broker.ID) error {
	looked, size := 0, 0
	for k, v := cursor.Seek(eventKey(after + 1)); k != nil; k, v = cursor.Next() {
		if looked == stepEvents || size >= stepBytes {
			return nil
		}
		rec, err := parseRecord(k, v)
		if err != nil {
			return asCorrupt(err)
		}
		looked++
		size += len(v)
		if p.filter.MatchesSubject(rec.subjectText()) && !p.take(&rec) {
			return nil
		}
		p.page.Position = rec.id
		if p.full() && rec.id.Seq != head.Seq {
			p.page.More, p.done = true, true
			return nil
		}
	}
	p.complete(head)
	return nil
}

// lookUp reads the events with these sequences, which were all that matched up
// to the last of them, or up to head where they are all.
func (p *pageReader) lookUp(cursor *bbolt.Cursor, seqs []uint64, all bool, head broker.ID) error {
	size := 0
	for i, seq := range seqs {
		if size >= stepBytes {
			return nil
		}
		rec, held, err := get(cursor, seq)
		if err == nil && !held {
			err = asCorrupt(fmt.Errorf("event %d is missing", seq))
		}
		if err != nil {
			return err
		}
		size += int(rec.size())
		if !p.take(&rec) {
			return nil
		}
		p.page.Position = rec.id
		if p.full() && !(all && i == len(seqs)-1) {
			p.page.More, p.done = true, true
			return nil
		}
	}
	if all {
		p.complete(head)
	}
	return nil
}

// take adds an event to the page unless its type does not match. It returns false
// where the event does not fit, which ends the page before it.
func (p *pageReader) take(rec *record) bool {
	if !p.filter.MatchesType(rec.typeText()) {
		return true
	}
	size := int(rec.size())
	if len(p.page.Events) > 0 && p.bytes+size > p.lim.Bytes {
		p.page.More, p.done = true, true
		return false
	}
	p.bytes += size
	p.page.Events = append(p.page.Events, rec.event())
	return true
}

func (p *pageReader) full() bool {
	return len(p.page.Events) > 0 && (len(p.page.Events) >= p.lim.Events || p.bytes >= p.lim.Bytes)
}

// get returns the event with that sequence, where it is held.
func get(cursor *bbolt.Cursor, seq uint64) (rec record, held bool, err error) {
	key := eventKey(seq)
	k, v := cursor.Seek(key)
	if !bytes.Equal(k, key) {
		return record{}, false, nil
	}
	rec, err = parseRecord(k, v)
	return rec, true, asCorrupt(err)
}

// At implements broker.Log.
func (r *Ring) At(seq uint64) (id broker.ID, ok bool, err error) {
	err = r.viewAgain(func(tx *bbolt.Tx) error {
		rec, held, err := get(tx.Bucket(bucketEvents).Cursor(), seq)
		id, ok = rec.id, held
		return err
	})
	if err != nil {
		return broker.ID{}, false, fmt.Errorf("look up event %d in ring: %w", seq, err)
	}
	return id, ok, nil
}

// Get implements broker.Log.
func (r *Ring) Get(seqs []uint64, lim broker.Limits) (events []broker.Event, next int, err error) {
	err = r.viewAgain(func(tx *bbolt.Tx) error {
		events, next = nil, 0
		total := 0
		cursor := tx.Bucket(bucketEvents).Cursor()
		for ; next < len(seqs); next++ {
			rec, held, err := get(cursor, seqs[next])
			if err != nil {
				return err
			}
			if !held {
				continue
			}
			total += int(rec.size())
			if len(events) > 0 && (total > lim.Bytes || len(events) >= lim.Events) {
				return nil
			}
			events = append(events, rec.event())
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("get events from ring: %w", err)
	}
	return events, next, nil
}

// viewAgain is view for reads that do not use the index.
func (r *Ring) viewAgain(fn func(*bbolt.Tx) error) error {
	for {
		if err := r.view(fn); !errors.Is(err, errAgain) {
			return err
		}
	}
}

// Seek implements broker.Log. Stamps need not ascend: the position is before the
// first event held whose stamp is not before t, in the order of ids.
func (r *Ring) Seek(t time.Time) (at broker.ID, ok bool, err error) {
	stamp := stampOf(t)
	for again := true; again; again = errors.Is(err, errAgain) {
		r.mu.RLock()
		from, generation := r.times.before(stamp), r.state.generation
		r.mu.RUnlock()
		err = r.view(func(tx *bbolt.Tx) error {
			st, err := getState(tx)
			if err != nil {
				return err
			}
			if st.generation != generation {
				return errAgain
			}
			at, ok, err = seek(tx, st, from, stamp)
			return err
		})
	}
	if err != nil {
		return broker.ID{}, false, fmt.Errorf("seek %s in ring: %w", t.Format(time.RFC3339Nano), err)
	}
	return at, ok, nil
}

// seek looks for the first event at or after stamp. Those up to and including
// from are before it.
func seek(tx *bbolt.Tx, st state, from uint64, stamp int64) (at broker.ID, ok bool, err error) {
	cursor := tx.Bucket(bucketEvents).Cursor()
	at = st.head
	k, v := cursor.Seek(eventKey(from + 1))
	for ; k != nil; k, v = cursor.Next() {
		rec, err := parseRecord(k, v)
		if err != nil {
			return broker.ID{}, false, asCorrupt(err)
		}
		if rec.id.Stamp >= stamp {
			if k, v = cursor.Prev(); k == nil {
				at = st.floor
				break
			}
			if rec, err = parseRecord(k, v); err != nil {
				return broker.ID{}, false, asCorrupt(err)
			}
			at = rec.id
			break
		}
	}
	if at.Seq > st.floor.Seq {
		return at, true, nil
	}
	// Nothing held is before the position. The event evicted last tells whether
	// those evicted were before t.
	ok = at.Seq == 0 || at.Stamp != broker.NoStamp && at.Stamp < stamp
	return at, ok, nil
}

// stampOf returns t as a stamp, the nearest one where t is out of range.
func stampOf(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Last implements broker.Log. It does not touch the disk.
func (r *Ring) Last(f broker.Filter) []uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.index.last(f)
}

// LastOf implements broker.Log. It does not touch the disk.
func (r *Ring) LastOf(subject string) (id broker.ID, end bool, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.index.find([]byte(subject))
	if s == nil {
		return broker.ID{}, false, false
	}
	return s.last, s.end, true
}
