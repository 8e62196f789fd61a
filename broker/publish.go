package broker

import (
	"context"
	"errors"
)

// Errors of a Publisher, besides ErrUnavailable and the context's.
var (
	// ErrTooLarge: the payload with its headers is larger than the stream takes.
	ErrTooLarge = errors.New("event is too large")
	// ErrOverloaded: the stream takes no more for the moment. Try again later.
	ErrOverloaded = errors.New("stream is overloaded")
	// ErrNoStream: no stream stores the subject.
	ErrNoStream = errors.New("no stream stores the subject")
	// ErrConflict: the newest event of the subject is another one than was expected.
	ErrConflict = errors.New("the subject has another newest event")
)

// Publication is an event before it is stored.
type Publication struct {
	Subject string // literal
	Type    string // empty for none
	End     bool
	// MsgID de-duplicates: a second publication with the same one within the
	// stream's window is not stored again. Empty for none.
	MsgID string
	Data  []byte
}

// Receipt says that a publication is stored.
type Receipt struct {
	Seq uint64
	// Duplicate reports that Seq is an earlier publication's with the same MsgID.
	Duplicate bool
}

// Publisher stores events in the stream. Its methods may be called concurrently.
type Publisher interface {
	// Publish returns once the stream has stored the event.
	Publish(ctx context.Context, p Publication) (Receipt, error)
}
