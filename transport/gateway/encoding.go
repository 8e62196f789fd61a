package gateway

import (
	"ringcast/broker"
	"ringcast/transport/sse"
)

// encoding is the form in which streams carry events. What is made of an event, or
// of a batch, is the same bytes for every stream of an encoding, and is made once.
type encoding struct {
	// number is what the broker keeps the bytes under.
	number int
	// event appends an event's frame, and chunk those of a batch as one chunk.
	event func([]byte, *broker.Event) []byte
	chunk func([]byte, []*broker.Delivery) []byte
}

// newEncodings returns the encoding of every format.
func newEncodings(stream string) []*encoding {
	source := sse.Source(stream)
	var all []*encoding
	for _, format := range []sse.Format{sse.Raw, sse.CloudEvents} {
		e := &encoding{number: len(all)}
		e.event = func(b []byte, ev *broker.Event) []byte { return format.AppendFrame(b, ev, source) }
		e.chunk = func(b []byte, events []*broker.Delivery) []byte {
			return appendChunk(b, func(b []byte) []byte { return e.appendEvents(b, events) })
		}
		all = append(all, e)
	}
	return all
}

// appendEvents appends the events' frames. That of a recent event is made once.
func (e *encoding) appendEvents(b []byte, events []*broker.Delivery) []byte {
	for _, d := range events {
		if frame, ok := d.Encoded(e.number, e.event); ok {
			b = append(b, frame...)
		} else {
			b = e.event(b, &d.Event)
		}
	}
	return b
}
