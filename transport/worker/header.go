package worker

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// SubjectPrefix begins the subjects of questions.
const SubjectPrefix = "ask."

// The headers of a question (transport/PROTOCOL.md, "For workers"). NATS compares them byte
// by byte.
const (
	HeaderID       = "Ringcast-Ask-Id"
	HeaderAnswer   = "Ringcast-Answer-Subject"
	HeaderSequence = "Ringcast-Answer-Sequence"
	HeaderCancel   = "Ringcast-Cancel-Subject"
	HeaderAlive    = "Ringcast-Alive-Subject"
	HeaderIdentity = "Ringcast-Identity"
)

// The headers of an event.
const (
	typeHeader = "Ringcast-Event"
	endHeader  = "Ringcast-End"
)

// identity decodes who asks. What cannot be decoded was not written by a gateway, and
// is taken as it is.
func identity(h nats.Header) string {
	encoded := h.Get(HeaderIdentity)
	if decoded, err := url.PathUnescape(encoded); err == nil {
		return decoded
	}
	return encoded
}

// EscapeIdentity makes a value of HeaderIdentity of any text, and leaves the usual ones as
// they are.
func EscapeIdentity(identity string) string {
	if !strings.ContainsFunc(identity, func(r rune) bool { return r <= ' ' || r > '~' || r == '%' }) {
		return identity
	}
	var b strings.Builder
	for i := range len(identity) {
		if c := identity[i]; c <= ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
