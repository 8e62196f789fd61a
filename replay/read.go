package replay

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
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

// viewFile is view for who has looked at held: fn is given the file's state, of the
// same generation.
func (r *Ring) viewFile(held contents, fn func(*bbolt.Tx, state) error) error {
	return r.view(func(tx *bbolt.Tx) error {
		now, err := getState(tx)
		switch {
		case err != nil:
			return err
		case now.generation != held.file.generation:
			return errAgain
		}
		return fn(tx, now)
	})
}

// Read implements broker.Log. A filter that selects a small part of the ring is
// read by index, any other by scan. After ErrCorrupt other parts of the ring may
// still be read.
func (r *Ring) Read(after uint64, f broker.Filter, lim broker.Limits) (broker.Page, error) {
	p := pageReader{ring: r, filter: f, lim: lim}
	p.begin(after)
	for !p.done {
		err := p.step()
		switch {
		case err == nil:
		case errors.Is(err, errAgain):
			p.begin(after)
		case errors.Is(err, broker.ErrEvicted) && len(p.page.Events) > 0:
			p.page.More = true // what was read is whole; the next read is the one that comes too late
			return p.page, nil
		default:
			return broker.Page{}, fmt.Errorf("read ring after %d: %w", after, err)
		}
	}
	return p.page, nil
}

// pageReader collects a page in one step or more. Each is one transaction of the
// file, or one look at what is pending, and goes on where the one before ended.
type pageReader struct {
	ring   *Ring
	filter broker.Filter
	lim    broker.Limits
	page   broker.Page
	bytes  int
	done   bool

	generation uint64 // no page is of two
	head       broker.ID
}

// begin begins the page, anew where the ring was reset meanwhile.
func (p *pageReader) begin(after uint64) {
	p.generation = p.ring.look().file.generation
	p.page = broker.Page{Position: broker.ID{Seq: after, Stamp: broker.NoStamp}}
	p.bytes = 0
}

// step reads on from the page's position, in the file or in what is pending.
func (p *pageReader) step() error {
	r, after := p.ring, p.page.Position.Seq
	r.mu.RLock()
	held, closed := r.held, r.closed
	floor := held.file.floor
	p.head = held.head()
	var todo plan
	if after >= floor.Seq && after < p.head.Seq {
		span := int(min(p.head.Seq-after, uint64(held.file.events)+uint64(len(held.pending))))
		todo.seqs, todo.all, todo.byIndex = r.index.after(after, p.filter, p.most(), span)
	}
	r.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case held.file.generation != p.generation:
		return errAgain
	case after < floor.Seq:
		return broker.ErrEvicted
	case after >= p.head.Seq, todo.byIndex && len(todo.seqs) == 0:
		p.passTo(p.head)
	case p.full(): // since the end of the file, which the last step came to
		p.cut()
	case after >= held.file.head.Seq:
		p.readPending(held, todo)
	default:
		return p.readFile(held, todo.upTo(held.file.head.Seq))
	}
	return nil
}

// plan is what the index says of what to read next.
type plan struct {
	byIndex bool     // else by scan
	seqs    []uint64 // of the next events that match
	all     bool     // there are no more
}

// upTo leaves out what lies above seq.
func (todo plan) upTo(seq uint64) plan {
	n, _ := slices.BinarySearch(todo.seqs, seq+1)
	todo.all = todo.all || n < len(todo.seqs)
	todo.seqs = todo.seqs[:n]
	return todo
}

// most is how many events a step takes from the index: what the page still
// lacks, or more where a type filter may leave some out.
func (p *pageReader) most() int {
	return min(max(p.lim.Events-len(p.page.Events), scanAlways), stepEvents)
}

// readFile reads on in the file, up to its head as held says. What was committed
// since is read where held says that it is: in what is pending.
func (p *pageReader) readFile(held contents, todo plan) error {
	after := p.page.Position.Seq
	return p.ring.viewFile(held, func(tx *bbolt.Tx, now state) error {
		if after < now.floor.Seq {
			return broker.ErrEvicted
		}
		cursor := tx.Bucket(bucketEvents).Cursor()
		if todo.byIndex {
			return p.lookUp(cursor, todo, held.file.head)
		}
		return p.scan(cursor, after, held.file.head)
	})
}

// scan reads every event of the file after a sequence, up to and including end.
func (p *pageReader) scan(cursor *bbolt.Cursor, after uint64, end broker.ID) error {
	looked, size := 0, 0
	for k, v := cursor.Seek(eventKey(after + 1)); k != nil; k, v = cursor.Next() {
		if looked == stepEvents || size >= stepBytes {
			return nil
		}
		rec, err := parseRecord(k, v)
		if err != nil {
			return asCorrupt(err)
		}
		if rec.id.Seq > end.Seq {
			break
		}
		looked++
		size += len(v)
		if !p.filter.MatchesSubject(rec.subjectText()) {
			p.page.Position = rec.id
		} else if !p.take(rec.id, rec.typeText(), int(rec.size()), rec.event, rec.id.Seq == end.Seq) {
			return nil
		}
	}
	p.passTo(end)
	return nil
}

// lookUp reads the planned events from the file. Where they are all that match,
// there is nothing more up to and including end.
func (p *pageReader) lookUp(cursor *bbolt.Cursor, todo plan, end broker.ID) error {
	size := 0
	for i, seq := range todo.seqs {
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
		if !p.take(rec.id, rec.typeText(), int(rec.size()), rec.event, todo.last(i)) {
			return nil
		}
	}
	if todo.all {
		p.passTo(end)
	}
	return nil
}

// last reports whether the i-th event is the last one to read.
func (todo *plan) last(i int) bool { return todo.all && i == len(todo.seqs)-1 }

// readPending reads on in what is pending, which is too little to need more steps.
func (p *pageReader) readPending(held contents, todo plan) {
	if todo.byIndex {
		for i, seq := range todo.seqs {
			if !p.takePending(held.find(seq), todo.last(i)) {
				return
			}
		}
		if !todo.all {
			return
		}
	} else {
		events := held.after(p.page.Position.Seq)
		for i := range events {
			e := &events[i]
			if p.filter.MatchesSubject(e.Subject) && !p.takePending(e, i == len(events)-1) {
				return
			}
		}
	}
	p.passTo(p.head)
}

func (p *pageReader) takePending(e *broker.Event, last bool) bool {
	return p.take(e.ID, e.Type, e.Size(), func() broker.Event { return *e }, last)
}

// take moves the page on to an event, which it adds unless its type does not match.
// It returns false where the page ends: before the event, which does not fit, or
// with it, unless nothing is left to read after it.
func (p *pageReader) take(id broker.ID, typ string, size int, event func() broker.Event, last bool) bool {
	if p.filter.MatchesType(typ) {
		if len(p.page.Events) > 0 && p.bytes+size > p.lim.Bytes {
			p.cut()
			return false
		}
		p.bytes += size
		p.page.Events = append(p.page.Events, event())
	}
	p.page.Position = id
	if p.full() && !last {
		p.cut()
		return false
	}
	return true
}

// passTo notes that nothing more matches up to and including end, which ends the
// page at the head.
func (p *pageReader) passTo(end broker.ID) {
	if end.Seq >= p.page.Position.Seq {
		p.page.Position = end
	}
	p.done = p.page.Position.Seq >= p.head.Seq
}

// cut ends the page where it stands, because of its limits.
func (p *pageReader) cut() { p.page.More, p.done = true, true }

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
	err = r.again(func(held contents) error {
		if e := held.find(seq); e != nil {
			id, ok = e.ID, true
			return nil
		}
		return r.viewFile(held, func(tx *bbolt.Tx, _ state) error {
			rec, found, err := get(tx.Bucket(bucketEvents).Cursor(), seq)
			id, ok = rec.id, found
			return err
		})
	})
	if err != nil {
		return broker.ID{}, false, fmt.Errorf("look up event %d in ring: %w", seq, err)
	}
	return id, ok, nil
}

// Get implements broker.Log.
func (r *Ring) Get(seqs []uint64, lim broker.Limits) (events []broker.Event, next int, err error) {
	err = r.again(func(held contents) error {
		return r.viewFile(held, func(tx *bbolt.Tx, _ state) error {
			events, next = nil, 0
			total := 0
			cursor := tx.Bucket(bucketEvents).Cursor()
			for ; next < len(seqs); next++ {
				e, ok, err := getEvent(held, cursor, seqs[next])
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				total += e.Size()
				if len(events) > 0 && (total > lim.Bytes || len(events) >= lim.Events) {
					return nil
				}
				events = append(events, e)
			}
			return nil
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("get events from ring: %w", err)
	}
	return events, next, nil
}

// getEvent returns the event with that sequence, wherever it is held.
func getEvent(held contents, cursor *bbolt.Cursor, seq uint64) (e broker.Event, ok bool, err error) {
	if pending := held.find(seq); pending != nil {
		return *pending, true, nil
	}
	rec, ok, err := get(cursor, seq)
	if err != nil || !ok {
		return broker.Event{}, false, err
	}
	return rec.event(), true, nil
}

// again runs fn with what the ring holds, until the ring was not reset meanwhile.
func (r *Ring) again(fn func(contents) error) error {
	for {
		r.mu.RLock()
		held, closed := r.held, r.closed
		r.mu.RUnlock()
		if closed {
			return ErrClosed
		}
		if err := fn(held); !errors.Is(err, errAgain) {
			return err
		}
	}
}

// Seek implements broker.Log. Stamps need not ascend: the position is before the
// first event held whose stamp is not before t, in the order of ids.
func (r *Ring) Seek(t time.Time) (at broker.ID, ok bool, err error) {
	stamp := stampOf(t)
	err = r.again(func(held contents) error {
		r.mu.RLock()
		from := r.times.before(stamp)
		r.mu.RUnlock()
		return r.viewFile(held, func(tx *bbolt.Tx, now state) (err error) {
			at, ok, err = seek(tx, held, now.floor, from, stamp)
			return err
		})
	})
	if err != nil {
		return broker.ID{}, false, fmt.Errorf("seek %s in ring: %w", t.Format(time.RFC3339Nano), err)
	}
	return at, ok, nil
}

// seek looks for the first event held at or after stamp. Those up to and including
// from are before it. floor is the transaction's.
func seek(tx *bbolt.Tx, held contents, floor broker.ID, from uint64, stamp int64) (at broker.ID, ok bool, err error) {
	at, found, err := seekFile(tx, held.file.head.Seq, floor, from, stamp)
	if err != nil {
		return broker.ID{}, false, err
	}
	if !found {
		at = seekPending(held, stamp)
	}
	if at.Seq > floor.Seq {
		return at, true, nil
	}
	// Nothing held is before the position. The event evicted last tells whether
	// those evicted were before t.
	ok = at.Seq == 0 || at == floor && at.Stamp != broker.NoStamp && at.Stamp < stamp
	return floor, ok, nil
}

// seekFile returns the position before the first event at or after stamp among
// those of the file up to and including head.
func seekFile(tx *bbolt.Tx, head uint64, floor broker.ID, from uint64, stamp int64) (at broker.ID, found bool, err error) {
	cursor := tx.Bucket(bucketEvents).Cursor()
	for k, v := cursor.Seek(eventKey(from + 1)); k != nil; k, v = cursor.Next() {
		rec, err := parseRecord(k, v)
		if err != nil {
			return broker.ID{}, false, asCorrupt(err)
		}
		if rec.id.Seq > head {
			break
		}
		if rec.id.Stamp < stamp {
			continue
		}
		if k, v = cursor.Prev(); k == nil {
			return floor, true, nil
		}
		if rec, err = parseRecord(k, v); err != nil {
			return broker.ID{}, false, asCorrupt(err)
		}
		return rec.id, true, nil
	}
	return broker.ID{}, false, nil
}

// seekPending returns the position before the first pending event at or after
// stamp, the head where there is none.
func seekPending(held contents, stamp int64) broker.ID {
	at := held.file.head
	for i := range held.pending {
		if held.pending[i].ID.Stamp >= stamp {
			return at
		}
		at = held.pending[i].ID
	}
	return at
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
