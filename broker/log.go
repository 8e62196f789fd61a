package broker

import (
	"context"
	"errors"
	"time"
)

// Errors of Log and History.
var (
	// ErrEvicted: the read starts below the oldest event that the log holds.
	ErrEvicted = errors.New("position is older than the log")
	// ErrCorrupt: what is on disk is not what was written. The log has to be
	// reset and filled again.
	ErrCorrupt = errors.New("log is corrupt")
	// ErrUnavailable: the stream cannot be asked or written to now (NATS is away). Try
	// later.
	ErrUnavailable = errors.New("the stream cannot be reached now")
	// ErrTooMany: the answer would be larger than its bound.
	ErrTooMany = errors.New("too many subjects")
)

// Bounds says what a log holds: the events after Floor, up to and including
// Head. A log in which Floor and Head are the same holds none.
type Bounds struct {
	// Floor is the position just before the oldest event held: the id of the
	// event that was evicted last, with NoStamp where that is not known.
	Floor ID
	// Head is the newest event, or Floor where there is none.
	Head ID
}

// Empty reports whether there is no event within b.
func (b Bounds) Empty() bool { return b.Floor.Seq == b.Head.Seq }

// Limits bounds one read. A read returns at least one matching event even where
// that one is larger than Bytes.
type Limits struct {
	Events int // > 0
	Bytes  int // sum of Event.Size; > 0
}

// Page is a piece of the log.
type Page struct {
	// Events match the filter, in id order.
	Events []Event
	// Position is how far the log was looked through: every matching event from
	// the start of the read up to and including Position is in Events. It is at
	// least the last event's id, and beyond it where nothing matched.
	Position ID
	// More reports that Limits ended the page before the end of the log.
	More bool
}

// Log is the local copy of the newest part of the stream: the ring.
//
// It is contiguous: between two neighbouring events nothing is missing that the
// stream held when they were read from it, save for events of subjects that nobody here
// can select. All methods may be called
// concurrently, but Append and Reset by one goroutine at a time. After Close
// they return an error.
type Log interface {
	// Append takes in events, whose sequences increase strictly and begin above
	// Head: when it returns they can be read. They may get to the disk later, as the
	// stream still has them, and so may the oldest be evicted. The log keeps the
	// events; the caller does not change them afterwards.
	Append(events []Event) error
	// Reset drops every event and makes at the floor and the head.
	Reset(at ID) error
	// Bounds returns what is held.
	Bounds() Bounds
	// Read returns the events after sequence after that match, in order. It
	// returns ErrEvicted when after lies below the floor, ErrCorrupt when the
	// page cannot be read, and an empty page at after or at Head, whichever is
	// later, when there is no event left.
	Read(after uint64, f Filter, lim Limits) (Page, error)
	// At returns the id of the event with that sequence; ok is false where the
	// log has none.
	At(seq uint64) (id ID, ok bool, err error)
	// Seek returns the position before the first event stored at or after t; ok
	// is false where that may lie below the floor. Without such an event it is
	// Head.
	Seek(t time.Time) (at ID, ok bool, err error)
	// Last returns the sequence of the newest event of each subject that matches
	// f's subjects, of those held, ascending.
	Last(f Filter) []uint64
	// LastOf returns the newest event's id and end mark of one literal subject;
	// ok is false where the log holds none.
	LastOf(subject string) (id ID, end bool, ok bool)
	// Get returns the events with these sequences that are held, in the order
	// asked for, until lim is reached. next is how many of the sequences were
	// looked up; those not held are left out of events.
	Get(seqs []uint64, lim Limits) (events []Event, next int, err error)
}

// History is the whole stream, of which a Log holds the newest part. Its methods
// may take a network round trip, may be called concurrently, bound their own
// concurrency, and return an error that wraps ErrUnavailable when the stream
// cannot be asked at the moment.
type History interface {
	// Bounds returns what the stream holds. Stamps are exact; Floor has none
	// unless it is 0-0.
	Bounds(ctx context.Context) (Bounds, error)
	// Newest returns the newest event that there is, be it one that the stream is yet to
	// get: where the stream is a copy of another one, that one's.
	Newest(ctx context.Context) (ID, error)
	// Read returns the events after sequence after, up to and including upTo,
	// that match, in order. The page's Position is {upTo, NoStamp} when it is
	// complete. floor is the stream's floor as seen after the page was read:
	// where it lies above after, the page may lack the events in between.
	Read(ctx context.Context, after, upTo uint64, f Filter, lim Limits) (p Page, floor ID, err error)
	// At returns the id of the event with that sequence; ok is false where the
	// stream has none. The answer is the stream leader's.
	At(ctx context.Context, seq uint64) (id ID, ok bool, err error)
	// Seek returns the position before the first event stored at or after t.
	// Without such an event it is the head.
	Seek(ctx context.Context, t time.Time) (ID, error)
	// Last returns the sequence of the newest event of each subject that matches
	// f's subjects, ascending, leaving out the subjects where that is above upTo;
	// ErrTooMany where there are more than most.
	Last(ctx context.Context, f Filter, upTo uint64, most int) ([]uint64, error)
	// LastOf returns the newest event's id and end mark of one literal subject.
	LastOf(ctx context.Context, subject string) (id ID, end bool, ok bool, err error)
	// Get returns the events with these sequences, as Log.Get does.
	Get(ctx context.Context, seqs []uint64, lim Limits) (events []Event, next int, err error)
}

// Sink is what a source fills: the Hub. One goroutine at a time may call its
// methods.
type Sink interface {
	// Head returns the newest event stored, or the floor where there is none.
	// The source continues after it, once it has verified that the stream still
	// holds that very event.
	Head() ID
	// Append stores a batch and wakes the subscriptions that it matches. The
	// events' sequences increase strictly and begin above Head. The sink keeps
	// the events; the caller does not change them afterwards.
	Append(events []Event) error
	// Reset drops what is stored and goes on from at. Every subscription verifies
	// its position anew and is told of a gap where there is one.
	Reset(at ID) error
	// Upstream tells the newest event that the stream is known to hold. A new
	// subscription that starts now starts there, even while the sink is still
	// catching up.
	Upstream(head ID)
}
