package broker

import (
	"fmt"
	"time"
)

// From says where a subscription without a Last-Event-ID begins. The zero From
// is now.
type From struct {
	kind fromKind
	id   ID
	time time.Time
}

type fromKind int

const (
	fromNow fromKind = iota
	fromOldest
	fromLast
	fromID
	fromTime
)

var (
	// FromNow begins with the next event.
	FromNow = From{kind: fromNow}
	// FromOldest begins with the oldest event held anywhere.
	FromOldest = From{kind: fromOldest}
	// FromLast begins with the newest event of each matching subject and goes on
	// with the next event.
	FromLast = From{kind: fromLast}
)

// FromID begins after the event with that id, which is verified like a
// Last-Event-ID.
func FromID(id ID) From { return From{kind: fromID, id: id} }

// FromTime begins with the first event stored at or after t.
func FromTime(t time.Time) From { return From{kind: fromTime, time: t} }

// ParseFrom reads now, oldest, last, an event id, an RFC 3339 time, or a
// positive duration (Go syntax) that reaches back from now. An empty s is now.
func ParseFrom(s string, now time.Time) (From, error) {
	switch s {
	case "", "now":
		return FromNow, nil
	case "oldest":
		return FromOldest, nil
	case "last":
		return FromLast, nil
	}
	if id, err := ParseID(s); err == nil {
		return FromID(id), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return FromTime(t), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return FromTime(now.Add(-d)), nil
	}
	return From{}, fmt.Errorf("%q is none of now, oldest, last, an event id, an RFC 3339 time, a duration such as 5m", s)
}
