package replay

import (
	"cmp"
	"slices"

	"ringcast/broker"
)

// contents is what the ring holds at one moment: the file up to its head, and what
// is pending after it.
type contents struct {
	file state
	// pending are events above the file's head, in order. They are only ever
	// appended, and dropped in front, without a write to what the slice shows: a
	// copy of contents that was taken under Ring.mu stays what it is.
	pending []broker.Event
	bytes   int64 // sum of broker.Event.Size of pending
}

// maxPending bounds what is pending: so much that a commit costs little for each
// event, and little beside the limits of the ring, which pending may exceed. The
// file grows by no larger steps either (see Options.MaxBytes).
func (o *Options) maxPending() limits {
	return limits{
		events: min(8192, int64(o.MaxEvents)/8),
		cost:   min(4<<20, o.MaxBytes/8),
	}
}

// hasRoom reports whether events can become pending. A batch that is larger than
// most goes alone.
func (c *contents) hasRoom(most limits, events []broker.Event) bool {
	if len(c.pending) == 0 {
		return true
	}
	all := state{events: int64(len(c.pending) + len(events)), bytes: c.bytes + sizeOf(events)}
	return all.events <= most.events && all.cost() <= most.cost
}

func sizeOf(events []broker.Event) (bytes int64) {
	for i := range events {
		bytes += int64(events[i].Size())
	}
	return bytes
}

// add makes events pending.
func (c *contents) add(events []broker.Event) {
	c.pending = append(c.pending, events...)
	c.bytes += sizeOf(events)
}

// settle takes note of a change to the file, which the oldest n pending events
// were part of.
func (c *contents) settle(file state, n int) {
	c.file = file
	c.bytes -= sizeOf(c.pending[:n])
	c.pending = slices.Clone(c.pending[n:]) // lets go of the old array
}

// head is the newest event, or the floor where there is none.
func (c *contents) head() broker.ID {
	if n := len(c.pending); n > 0 {
		return c.pending[n-1].ID
	}
	return c.file.head
}

// state describes everything, as if it were in the file.
func (c *contents) state() state {
	all := c.file
	all.head = c.head()
	all.events += int64(len(c.pending))
	all.bytes += c.bytes
	return all
}

func (c *contents) bounds() broker.Bounds {
	return broker.Bounds{Floor: c.file.floor, Head: c.head()}
}

// after returns the pending events after sequence seq.
func (c *contents) after(seq uint64) []broker.Event {
	i, _ := c.search(seq + 1)
	return c.pending[i:]
}

// find returns the pending event with that sequence, nil where there is none.
func (c *contents) find(seq uint64) *broker.Event {
	if i, found := c.search(seq); found {
		return &c.pending[i]
	}
	return nil
}

func (c *contents) search(seq uint64) (i int, found bool) {
	return slices.BinarySearchFunc(c.pending, seq, func(e broker.Event, seq uint64) int {
		return cmp.Compare(e.ID.Seq, seq)
	})
}
