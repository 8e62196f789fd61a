package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// NoStamp is the stamp of an ID that names a sequence only ("1042"): it orders
// like any other and cannot be verified.
const NoStamp int64 = -1

// MaxIDLen is the length in bytes of the longest valid id: twenty digits, a
// hyphen and thirteen base-36 digits. It stays below the 128 bytes up to which
// browsers treat Last-Event-ID as CORS-safelisted
// (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
const MaxIDLen = 20 + 1 + 13

// ID is an event's id, and at the same time a position in the log: just after
// that event. The zero ID, "0-0", is the position before the first event.
//
// Its text form is <seq>-<stamp>: the JetStream stream sequence in decimal and
// the stored JetStream timestamp in base 36, for example "1042-c1pzq4f8k2m0".
// Ordering uses Seq alone. Stamp verifies: two events with the same sequence and
// different stamps belong to different streams, or to a stream that was rewound
// in between.
type ID struct {
	// Seq is the stream sequence. The first event of a stream has 1.
	Seq uint64
	// Stamp is the time at which JetStream stored the event, in nanoseconds
	// since the Unix epoch, or NoStamp.
	Stamp int64
}

// ErrBadID is returned by ParseID for text that is no id.
var ErrBadID = errors.New("not an event id: want <sequence>-<stamp>, as in 1042-c1pzq4f8k2m0, or a sequence alone")

// ParseID reads the text form of an id. It accepts exactly what String writes
// (decimal without leading zeros, lower-case base 36 without leading zeros), so
// an id has one spelling; a bare sequence gets NoStamp. Any other text is
// ErrBadID.
func ParseID(s string) (ID, error) {
	if len(s) > MaxIDLen {
		return ID{}, ErrBadID
	}
	digits, stamp, hasStamp := strings.Cut(s, "-")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return ID{}, ErrBadID
	}
	id := ID{Seq: seq, Stamp: NoStamp}
	if hasStamp {
		if id.Stamp, err = strconv.ParseInt(stamp, 36, 64); err != nil || id.Stamp < 0 {
			return ID{}, ErrBadID
		}
	}
	if id.String() != s { // "+5", "007", "A": ParseUint and ParseInt are laxer than the format
		return ID{}, ErrBadID
	}
	return id, nil
}

// String returns the text form of id.
func (id ID) String() string {
	return string(id.AppendText(make([]byte, 0, MaxIDLen)))
}

// AppendText appends the text form of id to b.
func (id ID) AppendText(b []byte) []byte {
	b = strconv.AppendUint(b, id.Seq, 10)
	if id.Stamp == NoStamp {
		return b
	}
	b = append(b, '-')
	return strconv.AppendInt(b, id.Stamp, 36)
}

// MarshalText makes an ID a string in JSON.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Time returns the stamp as a time in UTC, and the zero time where there is no
// stamp.
func (id ID) Time() time.Time {
	if id.Stamp <= 0 {
		return time.Time{}
	}
	return time.Unix(0, id.Stamp).UTC()
}

// Same reports whether id and other name the same event as far as one can tell:
// equal sequences, and equal stamps unless one of them has none.
func (id ID) Same(other ID) bool {
	return id.Seq == other.Seq && (id.Stamp == other.Stamp || id.Stamp == NoStamp || other.Stamp == NoStamp)
}

// GoString helps in test output.
func (id ID) GoString() string { return fmt.Sprintf("broker.ID(%s)", id) }
