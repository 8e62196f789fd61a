package sse

import (
	"fmt"
	"unicode/utf8"

	"ringcast/broker"
)

// Format is how an event's payload is written into a stream.
type Format uint8

const (
	// Raw writes the payload as it is, and the object of AppendJSON in place of
	// one that is not UTF-8, which the stream cannot carry.
	Raw Format = iota
	// CloudEvents writes a CloudEvents 1.0 object (see AppendCloudEvent), which
	// carries the event's subject, time and type.
	CloudEvents
	// JSON writes the object of AppendJSON, which carries the event's subject, time
	// and type, and changes nothing in a payload that is UTF-8.
	JSON
)

// ParseFormat reads the name of a format as a client gives it: "raw", "cloudevents" or
// "json". No name is Raw.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "", "raw":
		return Raw, nil
	case "cloudevents":
		return CloudEvents, nil
	case "json":
		return JSON, nil
	}
	return Raw, fmt.Errorf("unknown format %q: want raw, cloudevents or json", name)
}

// String returns the name that ParseFormat reads.
func (f Format) String() string {
	switch f {
	case Raw:
		return "raw"
	case CloudEvents:
		return "cloudevents"
	case JSON:
		return "json"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// AppendFrame appends e as one server-sent event, named and numbered alike in
// every format. source says where the event is from (see Source); only
// CloudEvents shows it.
func (f Format) AppendFrame(dst []byte, e *broker.Event, source string) []byte {
	if f == Raw && utf8.Valid(e.Data) {
		return AppendEvent(dst, e.Type, e.Data, e.ID)
	}
	dst = appendName(dst, e.Type)
	dst = append(dst, "data: "...)
	if f == CloudEvents {
		dst = AppendCloudEvent(dst, e, source)
	} else {
		dst = AppendJSON(dst, e)
	}
	dst = append(dst, '\n') // the object has no line end in it
	return appendID(dst, e.ID)
}
