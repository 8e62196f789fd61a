package broker

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DefaultType is the type of an event whose producer named none, as the
// EventSource standard calls it.
const DefaultType = "message"

// ReservedTypePrefix begins the event types that only Ringcast itself sends
// ("ringcast.gap"). A producer's event may not use it.
const ReservedTypePrefix = "ringcast."

// MaxTypeLen is the greatest length of an event type in bytes.
const MaxTypeLen = 128

// Event is one published message with its place in the log. It is never changed
// once it has been appended, Data included.
type Event struct {
	ID      ID
	Subject string
	// Type is the event's name (the NATS header Ringcast-Event), empty where the
	// producer gave none.
	Type string
	// End marks the last event of its subject (the NATS header Ringcast-End).
	End bool
	// Data is the payload as published: any bytes, possibly none.
	Data []byte
}

// Time returns when the event was stored, in UTC.
func (e *Event) Time() time.Time { return e.ID.Time() }

// TypeOrDefault returns the event's type as a client sees it: DefaultType where
// the producer gave none.
func (e *Event) TypeOrDefault() string {
	if e.Type == "" {
		return DefaultType
	}
	return e.Type
}

// Size returns what the event counts for against limits in bytes: its payload,
// subject and type.
func (e *Event) Size() int { return len(e.Data) + len(e.Subject) + len(e.Type) }

// ValidateType checks an event type given by a producer or a reader: UTF-8 of 1
// to MaxTypeLen bytes without the reserved prefix, without control characters (a
// line end would end the field on the wire, and a CloudEvents attribute may hold
// none: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system)
// and without the other characters at which some clients, Python's splitlines
// among them, end a line: U+0085, U+2028 and U+2029.
func ValidateType(t string) error {
	switch {
	case t == "":
		return fmt.Errorf("event type is empty")
	case len(t) > MaxTypeLen:
		return fmt.Errorf("event type has %d bytes: %d are allowed", len(t), MaxTypeLen)
	case !utf8.ValidString(t):
		return fmt.Errorf("event type %q is not UTF-8", t)
	case strings.ContainsFunc(t, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }):
		return fmt.Errorf("event type %q contains a control character or a line separator", t)
	case strings.HasPrefix(t, ReservedTypePrefix):
		return fmt.Errorf("event type %q: the prefix %q is reserved", t, ReservedTypePrefix)
	}
	return nil
}
