package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// Errors of Publish.
var (
	// ErrInvalid: the message cannot be published as it is: its subject, type or
	// id breaks a rule.
	ErrInvalid = errors.New("message is invalid")
	// ErrTooLarge: payload and headers are larger than the server or the stream
	// takes.
	ErrTooLarge = errors.New("message is too large")
	// ErrOverloaded: the stream takes in less than is published to it. Nothing
	// was stored; try again later.
	ErrOverloaded = errors.New("stream is overloaded")
	// ErrNoStream: no stream, or another one, takes the subject.
	ErrNoStream = errors.New("the stream does not cover the subject")
	// ErrPublishUnavailable: there was no acknowledgement. Where there was no
	// connection, nothing was stored; after a timeout it may have been, and
	// publishing again with the same MsgID within two minutes is safe.
	ErrPublishUnavailable = errors.New("NATS is unavailable")
)

const (
	publishTimeout = 5 * time.Second
	maxMsgIDLen    = 256
	// codeTooManyRequests is how JetStream says that its ingest queue is full.
	codeTooManyRequests = 429
	codeNotFound        = 404
)

// Message is an event to publish.
type Message struct {
	Subject string
	Data    []byte
	// Type names the event, empty for none.
	Type string
	// End marks the last event of its subject.
	End bool
	// MsgID makes a repeated publish harmless, where it is not empty.
	MsgID string
}

// Ack says where a message was stored.
type Ack struct {
	Seq uint64
	// Duplicate reports that MsgID was known: Seq is that of the first message,
	// and nothing was stored now.
	Duplicate bool
}

// Publish stores a message in the stream and returns when it is stored, on as
// many replicas as the stream has. Without a deadline of ctx it gives up after
// 5 s.
func (c *Client) Publish(ctx context.Context, m Message) (Ack, error) {
	ack, err := c.publish(ctx, m)
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %q: %w", m.Subject, err)
	}
	return ack, nil
}

func (c *Client) publish(ctx context.Context, m Message) (Ack, error) {
	if err := m.validate(); err != nil {
		return Ack{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if most := c.nc.MaxPayload(); most > 0 && int64(len(m.Data)) > most {
		return Ack{}, fmt.Errorf("%w: %d bytes of payload, the server takes %d with headers", ErrTooLarge, len(m.Data), most)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ctx, cancelLive := c.whileConnected(ctx)
	defer cancelLive()
	ack, err := c.js.PublishMsg(ctx, m.natsMsg())
	if err != nil {
		return Ack{}, c.publishError(ctx, m.Subject, err)
	}
	if want := c.streamName(); want != "" && ack.Stream != want {
		return Ack{}, fmt.Errorf("%w: stream %s stored it, not %s", ErrNoStream, ack.Stream, want)
	}
	return Ack{Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

func (m Message) validate() error {
	if err := broker.ValidateSubject(m.Subject); err != nil {
		return err
	}
	if m.Type != "" {
		if err := broker.ValidateType(m.Type); err != nil {
			return err
		}
	}
	if len(m.MsgID) > maxMsgIDLen {
		return fmt.Errorf("message id has %d bytes: %d are allowed", len(m.MsgID), maxMsgIDLen)
	}
	if strings.ContainsFunc(m.MsgID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("message id %q contains a control character", m.MsgID)
	}
	return nil
}

func (m Message) natsMsg() *nats.Msg {
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data}
	if m.Type == "" && !m.End && m.MsgID == "" {
		return msg
	}
	// Assigned, not Set: nats.Header keeps keys as they are written.
	msg.Header = nats.Header{}
	if m.Type != "" {
		msg.Header[TypeHeader] = []string{m.Type}
	}
	if m.End {
		msg.Header[EndHeader] = []string{endTrue}
	}
	if m.MsgID != "" {
		msg.Header[jetstream.MsgIDHeader] = []string{m.MsgID}
	}
	return msg
}

func (c *Client) streamName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

func (c *Client) publishError(ctx context.Context, subject string, err error) error {
	switch {
	case context.Cause(ctx) == ErrDisconnected:
		return fmt.Errorf("%w: %w", ErrPublishUnavailable, ErrDisconnected)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case apiCode(err) == codeTooManyRequests:
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse) && !c.subjectTaken(ctx, subject):
		return ErrNoStream
	}
	return fmt.Errorf("%w: %w", ErrPublishUnavailable, c.redact.err(err))
}

// subjectTaken reports whether some stream is configured for the subject, or
// nobody can tell: a stream without a leader does not answer a publish either.
func (c *Client) subjectTaken(ctx context.Context, subject string) bool {
	_, err := c.js.StreamNameBySubject(ctx, subject)
	return apiCode(err) != codeNotFound
}
