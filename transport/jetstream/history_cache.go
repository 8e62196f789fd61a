package jetstream

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"ringcast/broker"
)

const (
	defaultCacheBytes = 32 << 20
	// cacheAge is how long a stretch is kept. It is right for as long as the stream
	// is the same, save for events that were deleted one by one; but readers move on,
	// and nobody comes back to it.
	cacheAge = 5 * time.Second
	// cacheStretches bounds the list, which is searched from end to end.
	cacheStretches = 256
	// eventOverhead is what an event takes in memory besides its Size: the struct, two
	// allocations rounded up, and what is left of the message's headers.
	eventOverhead = 160
)

// stretch is a piece of the stream as it was read: the events after sequence after,
// up to and including end, that match the filter. It is not changed once it is made.
type stretch struct {
	filter broker.Filter
	// sparse: the newest event of each subject only, to get one by one.
	sparse bool
	after  uint64
	// end has no stamp where the stream has no more that matches.
	end    broker.ID
	events []broker.Event
	// generation is the stream's from which it was read (see looks).
	generation uint64
	// messages is how many were looked at for it.
	messages int
	// bytes is what it takes in memory, about.
	bytes int
	made  time.Time
}

func newStretch(f broker.Filter, after uint64, generation uint64) *stretch {
	s := &stretch{filter: f, after: after, end: broker.ID{Seq: after, Stamp: broker.NoStamp}, generation: generation, bytes: eventOverhead}
	for _, subject := range f.Subjects() {
		s.bytes += len(subject)
	}
	return s
}

// take adds the next message of the stream, where it matches.
func (s *stretch) take(m scanned) (more bool) {
	if s.sparse || s.filter.MatchesSubject(m.event.Subject) && s.filter.MatchesType(m.event.Type) {
		s.events = append(s.events, m.event)
		s.bytes += m.event.Size() + eventOverhead
	}
	s.end = m.event.ID
	s.messages++
	return true
}

func (s *stretch) matches(f broker.Filter) bool { return sameFilter(s.filter, f) }

func sameFilter(a, b broker.Filter) bool {
	return slices.Equal(a.Subjects(), b.Subjects()) && slices.Equal(a.Types(), b.Types())
}

// leads reports whether page has something to say to a reader.
func (s *stretch) leads(after, upTo uint64) bool {
	within := !s.sparse && s.after <= after && after < s.end.Seq
	return within && (upTo <= s.end.Seq || s.end.Stamp != broker.NoStamp || countUpTo(s.events, after) < len(s.events))
}

// countUpTo returns how many of the events are not after sequence most.
func countUpTo(events []broker.Event, most uint64) int {
	n, _ := slices.BinarySearchFunc(events, most+1, func(e broker.Event, seq uint64) int { return cmp.Compare(e.ID.Seq, seq) })
	return n
}

// page returns what History.Read returns, as far as the stretch goes; it must lead on
// from after.
func (s *stretch) page(after, upTo uint64, lim broker.Limits) broker.Page {
	first, bytes := countUpTo(s.events, after), 0
	i := first
	for ; i < len(s.events) && s.events[i].ID.Seq <= upTo; i++ {
		size := s.events[i].Size()
		if n := i - first; n >= lim.Events || n > 0 && bytes+size > lim.Bytes {
			return broker.Page{Events: slices.Clone(s.events[first:i]), Position: s.events[i-1].ID, More: true}
		}
		bytes += size
	}
	p := broker.Page{Events: slices.Clone(s.events[first:i])}
	switch {
	case s.end.Seq >= upTo:
		p.Position = broker.ID{Seq: upTo, Stamp: broker.NoStamp}
	case s.end.Stamp != broker.NoStamp:
		p.Position, p.More = s.end, true
	default: // a client may get the position as its id: it has to have a stamp
		p.Position, p.More = s.events[i-1].ID, true
	}
	return p
}

// cache keeps what was read ahead, for all readers: a reconnect storm asks for the
// same events over and over, and each reader for the next page in a moment. Measured
// with pages of 64 KiB and events of 2 KB, processor time with the server's: 0.5 µs an
// event with fifty readers at one place, about half of it for looks, and 14 to 15 µs with
// one reader or with a hundred at as many places, about half of it in the server. Before
// there was a cache it was 95, 110 and 125 µs.
type cache struct {
	maxBytes int

	// mu guards what follows. It is held for a search of the list, never over a
	// question.
	mu sync.Mutex
	// generation counts the streams found so far, and anchor is the newest event known
	// of the last one (see looks).
	generation uint64
	anchor     broker.ID
	stretches  []*stretch // as made, the oldest first
	bytes      int        // of stretches
	eventBytes int        // of the last stretch
	turns      []*turn
	// expiry runs while there are stretches, so that they are let go when nobody
	// reads any more.
	expiry *time.Timer
}

// turn is one caller's right to read from the stream what others wait for.
type turn struct {
	filter broker.Filter
	after  uint64
	done   chan struct{} // closed by finish
}

// stretch returns the one that leads a reader on and goes furthest, nil where there is
// none.
func (c *cache) stretch(f broker.Filter, after, upTo uint64) (found *stretch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stretches {
		if (found == nil || s.end.Seq > found.end.Seq) && s.leads(after, upTo) && s.matches(f) {
			found = s
		}
	}
	return found
}

// before returns the newest stretch that ends where a read begins, or within which it
// does, nil where there is none; and what an event took lately.
func (c *cache) before(f broker.Filter, after uint64) (before *stretch, eventBytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.stretches) {
		if !s.sparse && s.after < after && after <= s.end.Seq && s.matches(f) {
			before = s
			break
		}
	}
	return before, max(c.eventBytes, eventOverhead)
}

// at returns the id that some stretch has for a sequence, with the generation.
func (c *cache) at(seq uint64) (id broker.ID, generation uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stretches {
		if seq <= s.after || seq > s.end.Seq {
			continue
		}
		if i := countUpTo(s.events, seq-1); i < len(s.events) && s.events[i].ID.Seq == seq {
			return s.events[i].ID, s.generation, true
		}
		if s.end.Seq == seq && s.end.Stamp != broker.NoStamp {
			return s.end, s.generation, true
		}
	}
	return broker.ID{}, 0, false
}

// get returns the first of these events, at most n, as far as sparse stretches have
// them, nil for the others; with the generation. It is nil where they have none.
func (c *cache) get(seqs []uint64, n int) (found []*broker.Event, generation uint64) {
	n = min(len(seqs), n)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stretches {
		if !s.sparse {
			continue
		}
		for i, seq := range seqs[:n] {
			at := countUpTo(s.events, seq-1)
			if at == len(s.events) || s.events[at].ID.Seq != seq {
				continue
			}
			if found == nil {
				found = make([]*broker.Event, n)
			}
			found[i] = &s.events[at]
		}
	}
	return found, c.generation
}

// take returns the turn at a start. Where mine is true the caller has to read, and to
// finish it.
func (c *cache) take(f broker.Filter, after uint64) (t *turn, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.turns {
		if t.after == after && sameFilter(t.filter, f) {
			return t, false
		}
	}
	t = &turn{filter: f, after: after, done: make(chan struct{})}
	c.turns = append(c.turns, t)
	return t, true
}

// finish ends a turn: who waits looks again.
func (c *cache) finish(t *turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns = slices.DeleteFunc(c.turns, func(other *turn) bool { return other == t })
	close(t.done)
}

// add keeps a stretch, unless the stream was found to be another one since it was
// read, or nothing known of the stream lies beyond it.
func (c *cache) add(s *stretch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(s.events); n > 0 {
		c.eventBytes = s.bytes / n
	}
	if s.end.Seq > c.anchor.Seq && s.end.Stamp != broker.NoStamp && s.generation == c.generation {
		c.anchor = s.end
	}
	if s.end.Seq > c.anchor.Seq || s.generation != c.generation || s.bytes > c.maxBytes {
		return
	}
	if s.sparse { // most of the last one's events are in this one too
		if i := slices.IndexFunc(c.stretches, func(old *stretch) bool { return old.sparse && old.matches(s.filter) }); i >= 0 {
			c.dropLocked(i)
		}
	}
	s.made = time.Now()
	c.stretches = append(c.stretches, s)
	c.bytes += s.bytes
	for c.bytes > c.maxBytes || len(c.stretches) > cacheStretches {
		c.dropLocked(0)
	}
	if c.expiry == nil {
		c.expiry = time.AfterFunc(cacheAge, c.expire)
	}
}

func (c *cache) dropLocked(i int) {
	c.bytes -= c.stretches[i].bytes
	c.stretches = slices.Delete(c.stretches, i, i+1)
}

// expire drops what is too old.
func (c *cache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.stretches) > 0 && time.Since(c.stretches[0].made) >= cacheAge {
		c.dropLocked(0)
	}
	if len(c.stretches) == 0 {
		c.expiry = nil
		return
	}
	c.expiry.Reset(cacheAge - time.Since(c.stretches[0].made))
}

// newest returns the anchor.
func (c *cache) newest() broker.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor
}

// seen notes the stream's head as a look has found it, drops everything where it is not
// the same stream, and returns the generation.
func (c *cache) seen(head broker.ID, same bool) (generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !same {
		c.generation++
		c.anchor, c.stretches, c.bytes = broker.ID{}, nil, 0
	}
	if head.Seq > c.anchor.Seq {
		c.anchor = head
	}
	return c.generation
}

// knows returns the generation of what is kept; ok is false where a look is needed
// before what is read up to seq can be kept.
func (c *cache) knows(seq uint64) (generation uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation, c.generation > 0 && c.anchor.Seq >= seq
}
