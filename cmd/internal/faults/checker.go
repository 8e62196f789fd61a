//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ringcast/broker"
)

// gapType is the type of the event by which a client is told that events are missing.
const gapType = "ringcast.gap"

// Kinds of violations: what must never be.
const (
	lost       = "lost"              // acknowledged, never delivered, and no gap told
	duplicate  = "duplicate"         // delivered twice
	disorder   = "out of order"      // an id that is not above the one before
	foreign    = "not subscribed to" // delivered to the wrong client
	altered    = "altered"           // another payload or id than was published
	groundless = "gap without cause" // a gap where nothing was taken away
	unhealed   = "not recovered"     // clients without the newest events long after a fault
	unstored   = "lost by NATS"      // acknowledged, and not in the stream: not Ringcast's
)

// violation is one of them, with what is needed to find its cause.
type violation struct {
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	Client string    `json:"client,omitempty"`
	Detail string    `json:"detail"`
	// LastIDs are the client's last ids until then, oldest first.
	LastIDs []string `json:"last_ids,omitempty"`
	// Faults are those that were under way or just over.
	Faults []string `json:"faults,omitempty"`
}

// keptIDs is how many ids of a client are kept for a violation's sake.
const keptIDs = 200

// checker holds one client to the ledger, event by event. Its methods may be called
// from any goroutine, in the order in which the client handed its events over.
type checker struct {
	name      string
	conflated bool // only the order, and the newest of each subject
	follows   []string
	ledger    *ledger
	report    func(violation)
	start     uint64 // the sequence after which it was subscribed

	mu        sync.Mutex                 // guards what follows; nothing blocks while it is held
	counters  map[string]uint64          // the last counter of each subject followed
	late      map[string]map[uint64]bool // counters seen out of turn; see order
	last      uint64
	seen      []uint64 // a bit for each sequence after start
	ids       []string
	excused   []span
	gaps      map[string]uint64 // by reason
	delivered uint64
}

// span is the sequences after from, up to to.
type span struct{ from, to uint64 }

func (s span) has(seq uint64) bool { return seq > s.from && seq <= s.to }

func newChecker(name string, follows []string, conflated bool, start uint64, l *ledger, report func(violation)) *checker {
	c := &checker{name: name, conflated: conflated, follows: follows, ledger: l, report: report, start: start, last: start,
		counters: map[string]uint64{}, late: map[string]map[uint64]bool{}, gaps: map[string]uint64{}}
	maps.Copy(c.counters, l.countersAt(follows, start))
	return c
}

// event takes in what a client handed over.
func (c *checker) event(id, typ, data string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id+" "+typ)
	if len(c.ids) > 2*keptIDs {
		c.ids = slices.Clone(c.ids[len(c.ids)-keptIDs:])
	}
	at, err := broker.ParseID(id)
	switch {
	case typ == gapType:
		c.gapLocked(at.Seq, err, data)
	case err != nil:
		c.violationLocked(altered, "an event has the id %q", id)
	default:
		c.eventLocked(at.Seq, data)
	}
}

func (c *checker) gapLocked(at uint64, idErr error, data string) {
	var gap struct{ Reason, Requested, Oldest string }
	if err := json.Unmarshal([]byte(data), &gap); err != nil || idErr != nil {
		c.violationLocked(altered, "a gap that cannot be read: %q", data)
		return
	}
	c.gaps[gap.Reason]++
	switch {
	case gap.Reason != string(broker.GapExpired):
		c.violationLocked(groundless, "%s, though no stream was replaced: %s", gap.Reason, data)
	case at > c.ledger.purgedUpTo():
		c.violationLocked(groundless, "up to %d, and no purge reached beyond %d: %s", at, c.ledger.purgedUpTo(), data)
	case at < c.last:
		c.violationLocked(disorder, "a gap up to %d after the event %d", at, c.last)
	default:
		c.excused = append(c.excused, span{c.last, at})
		c.last = at
	}
}

func (c *checker) eventLocked(seq uint64, data string) {
	c.delivered++
	if c.wasSeenLocked(seq) {
		c.violationLocked(duplicate, "the event %d came again", seq)
		return
	}
	if seq <= c.last {
		c.violationLocked(disorder, "the event %d came after %d", seq, c.last)
	}
	c.last = max(c.last, seq)
	p, err := decodePayload(data)
	if err != nil {
		c.violationLocked(altered, "the event %d: %v", seq, err)
		return
	}
	before, ok := c.counters[p.Subject]
	if !ok {
		c.violationLocked(foreign, "the event %d is of %s", seq, p.Subject)
		return
	}
	if f, ok := c.ledger.fate(p.Subject, p.Counter); ok && f.seq != 0 && f.seq != seq {
		c.violationLocked(duplicate, "%s %d was acknowledged as %d and came as %d", p.Subject, p.Counter, f.seq, seq)
	}
	if p.Counter <= before {
		c.earlierLocked(p, seq, before)
		return
	}
	c.missingLocked(p.Subject, before, p.Counter)
	c.counters[p.Subject] = p.Counter
}

// earlierLocked judges a counter that is not above the last one. One that its
// publisher gave up may have been stored after the next; once.
func (c *checker) earlierLocked(p payload, seq, before uint64) {
	if f, ok := c.ledger.fate(p.Subject, p.Counter); ok && f.gaveUp && !c.late[p.Subject][p.Counter] {
		if c.late[p.Subject] == nil {
			c.late[p.Subject] = map[uint64]bool{}
		}
		c.late[p.Subject][p.Counter] = true
		return
	}
	c.violationLocked(duplicate, "%s %d (event %d) came after %d", p.Subject, p.Counter, seq, before)
}

// missingLocked judges the counters between two that came.
func (c *checker) missingLocked(subject string, before, next uint64) {
	if c.conflated {
		return
	}
	for n := before + 1; n < next; n++ {
		f, ok := c.ledger.fate(subject, n)
		if !ok || f.gaveUp || f.seq <= c.start || c.isExcusedLocked(f.seq) {
			continue
		}
		c.violationLocked(lost, "%s %d, acknowledged as %d, did not come before %d", subject, n, f.seq, next)
	}
}

func (c *checker) isExcusedLocked(seq uint64) bool {
	return slices.ContainsFunc(c.excused, func(s span) bool { return s.has(seq) })
}

// wasSeenLocked reports whether a sequence was delivered before, and notes it.
func (c *checker) wasSeenLocked(seq uint64) bool {
	if seq <= c.start {
		return false // out of order by itself
	}
	word, bit := (seq-c.start)/64, uint64(1)<<((seq-c.start)%64)
	for uint64(len(c.seen)) <= word {
		c.seen = append(c.seen, 0)
	}
	seen := c.seen[word]&bit != 0
	c.seen[word] |= bit
	return seen
}

func (c *checker) violationLocked(kind, format string, args ...any) {
	c.report(violation{Kind: kind, At: time.Now(), Client: c.name, Detail: fmt.Sprintf(format, args...),
		LastIDs: slices.Clone(c.ids[max(0, len(c.ids)-keptIDs):])})
}

// position returns the sequence up to which the client was served.
func (c *checker) position() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// finish judges what never came, once nothing is under way any more.
func (c *checker) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for subject, last := range c.counters {
		counter, seq := c.ledger.newest(subject)
		if c.conflated {
			if last < counter && !c.isExcusedLocked(seq) {
				c.violationLocked(lost, "the newest of %s, %d (event %d), did not come; %d was the last", subject, counter, seq, last)
			}
			continue
		}
		c.missingLocked(subject, last, counter+1)
	}
}

// recent returns the last ids that the client was given, oldest first.
func (c *checker) recent() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, line := range c.ids[max(0, len(c.ids)-keptIDs):] {
		id, _, _ := strings.Cut(line, " ")
		ids = append(ids, id)
	}
	return ids
}

// totals returns how many events the client was given, and the gaps it was told.
func (c *checker) totals() (delivered uint64, gaps map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.delivered, maps.Clone(c.gaps)
}
