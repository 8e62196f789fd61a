package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Question is what is to be answered.
type Question struct {
	// ID is that of the answer.
	ID string
	// Subject is what was asked on, without SubjectPrefix.
	Subject string
	// Identity is the sub of who asks, empty where there is none.
	Identity string
	// Body is the question itself, as it was sent: JSON.
	Body json.RawMessage
	// Header is all that came with it.
	Header nats.Header
}

// Decode reads the body into v. The error is a *Refusal with status 400.
func (q *Question) Decode(v any) error {
	if err := json.Unmarshal(q.Body, v); err != nil {
		return Refuse(http.StatusBadRequest, "invalid", err.Error())
	}
	return nil
}

// parseQuestion reads a NATS request.
func parseQuestion(m *nats.Msg) (*Question, error) {
	if m.Reply == "" {
		return nil, errors.New("question is no request")
	}
	for _, key := range []string{HeaderID, HeaderAnswer, HeaderCancel, HeaderAlive} {
		if v := m.Header.Get(key); v == "" || strings.ContainsAny(v, " \t\r\n*>") {
			return nil, fmt.Errorf("header %s is %q", key, v)
		}
	}
	if _, err := sequence(m.Header); err != nil {
		return nil, err
	}
	return &Question{
		ID:       m.Header.Get(HeaderID),
		Subject:  strings.TrimPrefix(m.Subject, SubjectPrefix),
		Identity: identity(m.Header),
		Body:     m.Data,
		Header:   m.Header,
	}, nil
}

// sequence returns that of the answer's first event, which is the gateway's.
func sequence(h nats.Header) (uint64, error) {
	seq, err := strconv.ParseUint(h.Get(HeaderSequence), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s is %q", HeaderSequence, h.Get(HeaderSequence))
	}
	return seq, nil
}

// Refusal is an error of Options.Check: the question is not taken, and who asks gets
// Status and Body.
type Refusal struct {
	// Status is an HTTP status from 400 to 599.
	Status int
	// Body is the rest of the answer: an object's members besides status.
	Body map[string]any
}

// Refuse returns a Refusal with a reason for programs and a detail for people.
func Refuse(status int, reason, detail string) *Refusal {
	return &Refusal{Status: status, Body: map[string]any{"reason": reason, "detail": detail}}
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused with status %d: %v", r.Status, r.Body) }

// encode returns the reply that refuses.
func (r *Refusal) encode() ([]byte, error) {
	if r.Status < 400 || r.Status > 599 {
		return nil, fmt.Errorf("encode refusal: status %d is not from 400 to 599", r.Status)
	}
	body := map[string]any{}
	for name, value := range r.Body {
		body[name] = value
	}
	body["status"] = r.Status
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode refusal: %w", err)
	}
	return data, nil
}
