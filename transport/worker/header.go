package worker

import (
	"net/url"

	"github.com/nats-io/nats.go"
)

// subjectPrefix stands before the subject of a question.
const subjectPrefix = "ask."

// The headers of a question. NATS compares them byte by byte.
const (
	idHeader       = "Ringcast-Ask-Id"
	answerHeader   = "Ringcast-Answer-Subject"
	sequenceHeader = "Ringcast-Answer-Sequence"
	cancelHeader   = "Ringcast-Cancel-Subject"
	aliveHeader    = "Ringcast-Alive-Subject"
	identityHeader = "Ringcast-Identity"
)

// The headers of an event.
const (
	typeHeader = "Ringcast-Event"
	endHeader  = "Ringcast-End"
)

// identity decodes who asks. What cannot be decoded was not written by a gateway, and
// is taken as it is.
func identity(h nats.Header) string {
	encoded := h.Get(identityHeader)
	if decoded, err := url.PathUnescape(encoded); err == nil {
		return decoded
	}
	return encoded
}
