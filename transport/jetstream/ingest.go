package jetstream

import (
	"strings"

	"github.com/nats-io/nats.go"

	"ringcast/broker"
)

// Headers of a published message that Ringcast reads. NATS compares header keys
// byte by byte; these spellings and their lower-case ones are understood.
const (
	// TypeHeader names the event.
	TypeHeader = "Ringcast-Event"
	// EndHeader with the value "true" marks the last event of its subject.
	EndHeader = "Ringcast-End"
)

const endTrue = "true"

// newEvent makes the event of a stored message. The payload is nats.go's own
// copy of this one message, which nothing else shares, so it is kept as it is
// (see doc.go). A type that is not allowed is left out and returned as an error,
// the event is valid nonetheless: what one producer does wrong must not stop
// the log.
func newEvent(id broker.ID, subject string, header nats.Header, data []byte) (e broker.Event, typeErr error) {
	e = broker.Event{ID: id, Subject: subject, Data: data}
	if len(header) == 0 {
		return e, nil
	}
	e.End = strings.EqualFold(headerValue(header, EndHeader), endTrue)
	if t := headerValue(header, TypeHeader); t != "" {
		if typeErr = broker.ValidateType(t); typeErr == nil {
			e.Type = t
		}
	}
	return e, typeErr
}

func headerValue(h nats.Header, key string) string {
	values, ok := h[key]
	if !ok {
		values = h[strings.ToLower(key)]
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
