package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"ringcast/broker"
)

// Names in the file. See ring.go for the picture.
var (
	bucketMeta   = []byte("meta")
	bucketEvents = []byte("events")
	keyFormat    = []byte("format")
	keyState     = []byte("state")
)

// formatVersion is the version of the file as a whole: the buckets, the keys
// and the state record. Records carry a version of their own.
const formatVersion = 1

// scan reads a ring file from end to end, without bbolt (see pages.go), and
// verifies all of it.
type scan struct {
	// visit is given every intact record, in key order. It must not keep what the
	// record's slices point to.
	visit func(*record) error
	// problem is told what is wrong with the file. The scan goes on where it
	// returns nil and it makes sense to.
	problem func(error) error

	format uint16
	state  state // as the file says
	found  state // as counted
	first  broker.ID
	pages  int64
	rec    record
	fresh  bool // no bucket yet: the process ended between creating the file and its first commit
}

// run reads the file.
func (s *scan) run(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := openPages(f, info.Size())
	if err != nil {
		return s.problem(err)
	}
	s.pages = int64(p.meta.high)
	meta, events, err := s.buckets(p)
	if err != nil {
		return s.problem(err)
	}
	if s.fresh {
		return nil
	}
	if err := s.readMeta(p, meta); err != nil {
		return s.problem(err) // an unknown format: what the events look like is unknown too
	}
	if err := s.readEvents(p, events); err != nil {
		return err
	}
	return s.compare()
}

// buckets finds the two buckets.
func (s *scan) buckets(p *pages) (meta, events []byte, err error) {
	err = p.walk(p.meta.root, func(e entry) error {
		switch {
		case e.bucket && bytes.Equal(e.key, bucketMeta):
			meta = bytes.Clone(e.value)
		case e.bucket && bytes.Equal(e.key, bucketEvents):
			events = bytes.Clone(e.value)
		default:
			return fmt.Errorf("not a ring file: it has an entry %q", e.key)
		}
		return nil
	})
	s.fresh = meta == nil && events == nil
	if err == nil && !s.fresh && (meta == nil || events == nil) {
		err = errors.New("not a ring file: one of its two buckets is missing")
	}
	return meta, events, err
}

func (s *scan) readMeta(p *pages, bucket []byte) error {
	var format, st []byte
	err := p.walkBucket(bucket, func(e entry) error {
		switch {
		case bytes.Equal(e.key, keyFormat):
			format = bytes.Clone(e.value)
		case bytes.Equal(e.key, keyState):
			st = bytes.Clone(e.value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucketMeta, err)
	}
	if len(format) != 2 {
		return fmt.Errorf("format version has %d bytes, 2 are needed", len(format))
	}
	switch s.format = binary.BigEndian.Uint16(format); {
	case s.format > formatVersion:
		return fmt.Errorf("format version is %d, this program knows %d: a newer ringcast has written the file", s.format, formatVersion)
	case s.format != formatVersion:
		return fmt.Errorf("format version is %d, known is %d", s.format, formatVersion)
	}
	s.state, err = parseState(st)
	return err
}

func (s *scan) readEvents(p *pages, bucket []byte) error {
	var stop error // what visit or problem returned, without the pages it came through
	err := p.walkBucket(bucket, func(e entry) error {
		var err error
		if s.rec, err = readEntry(e); err == nil {
			s.count(&s.rec)
			stop = s.visit(&s.rec)
		} else {
			s.found.events++
			stop = s.problem(err)
		}
		return stop
	})
	switch {
	case stop != nil:
		return stop
	case err != nil:
		return s.problem(fmt.Errorf("bucket %s: %w", bucketEvents, err))
	}
	if err := p.checkFree(); err != nil {
		return s.problem(err)
	}
	return nil
}

func readEntry(e entry) (record, error) {
	if e.bucket {
		return record{}, fmt.Errorf("key %x: there is a bucket in an event's place", e.key)
	}
	return parseRecord(e.key, e.value)
}

func (s *scan) count(rec *record) {
	if s.found.head.Seq == 0 {
		s.first = rec.id
	}
	s.found.head = rec.id
	s.found.events++
	s.found.bytes += rec.size()
}

// compare holds the state record against what was found. A page that is an older
// version of itself, left behind by a power cut, is intact and in order: that
// events are missing from it shows here only.
func (s *scan) compare() error {
	st, found := s.state, s.found
	var problems []error
	if st.events != found.events || st.bytes != found.bytes {
		problems = append(problems, fmt.Errorf("%d events of %d bytes were found, the state record says %d of %d",
			found.events, found.bytes, st.events, st.bytes))
	}
	if found.events == 0 && st.head != st.floor {
		problems = append(problems, fmt.Errorf("no event was found, the state record says that they reach from %s to %s", st.floor, st.head))
	}
	if found.head.Seq != 0 && st.head != found.head {
		problems = append(problems, fmt.Errorf("newest event is %s, the state record says %s", found.head, st.head))
	}
	if found.head.Seq != 0 && st.floor.Seq >= s.first.Seq {
		problems = append(problems, fmt.Errorf("oldest event %s lies at or below the floor %s", s.first, st.floor))
	}
	for _, err := range problems {
		if err := s.problem(err); err != nil {
			return err
		}
	}
	return nil
}
