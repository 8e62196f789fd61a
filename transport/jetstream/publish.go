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
	"ringcast/transport/tracing"
)

// ErrInvalid: a publication's subject, type or id breaks a rule. The other errors
// of Publish are package broker's.
var ErrInvalid = errors.New("publication is invalid")

var _ broker.Publisher = (*Client)(nil)

const (
	publishTimeout = 5 * time.Second
	maxMsgIDLen    = 256
	// codeTooManyRequests is how JetStream says that its ingest queue is full.
	codeTooManyRequests = 429
	codeNotFound        = 404
)

// Publish implements broker.Publisher. It returns when the event is stored on as
// many replicas as the stream has. Without a deadline of ctx it gives up after
// 5 s. ErrUnavailable without a connection means that nothing was stored; after a
// timeout it may have been, and publishing again with the same MsgID within two
// minutes is safe. The event carries the trace of ctx, if there is one.
func (c *Client) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	ctx, span := c.traces.StartPublish(ctx, p.Subject)
	receipt, err := c.publish(ctx, p)
	tracing.End(span, err)
	if err != nil {
		return broker.Receipt{}, fmt.Errorf("publish to %q: %w", p.Subject, err)
	}
	return receipt, nil
}

func (c *Client) publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	if err := validate(p); err != nil {
		return broker.Receipt{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if most := c.nc.MaxPayload(); most > 0 && int64(len(p.Data)) > most {
		return broker.Receipt{}, fmt.Errorf("%w: %d bytes of payload, the server takes %d with headers", broker.ErrTooLarge, len(p.Data), most)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ctx, cancelLive := c.whileConnected(ctx)
	defer cancelLive()
	msg := natsMsg(p)
	tracing.Inject(ctx, msg)
	ack, err := c.js.PublishMsg(ctx, msg)
	if err != nil {
		return broker.Receipt{}, c.publishError(ctx, p.Subject, err)
	}
	if want := c.storedBy(); want != "" && ack.Stream != want {
		return broker.Receipt{}, fmt.Errorf("%w: stream %s stored it, not %s", broker.ErrNoStream, ack.Stream, want)
	}
	return broker.Receipt{Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

func validate(p broker.Publication) error {
	if err := broker.ValidateSubject(p.Subject); err != nil {
		return err
	}
	if p.Type != "" {
		if err := broker.ValidateType(p.Type); err != nil {
			return err
		}
	}
	if len(p.MsgID) > maxMsgIDLen {
		return fmt.Errorf("message id has %d bytes: %d are allowed", len(p.MsgID), maxMsgIDLen)
	}
	if strings.ContainsFunc(p.MsgID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("message id %q contains a control character", p.MsgID)
	}
	return nil
}

func natsMsg(p broker.Publication) *nats.Msg {
	msg := &nats.Msg{Subject: p.Subject, Data: p.Data}
	if p.Type == "" && !p.End && p.MsgID == "" {
		return msg
	}
	// Assigned, not Set: nats.Header keeps keys as they are written.
	msg.Header = nats.Header{}
	if p.Type != "" {
		msg.Header[TypeHeader] = []string{p.Type}
	}
	if p.End {
		msg.Header[EndHeader] = []string{endTrue}
	}
	if p.MsgID != "" {
		msg.Header[jetstream.MsgIDHeader] = []string{p.MsgID}
	}
	return msg
}

// storedBy returns the name of the stream that stores what is published: of a mirror, its
// origin's.
func (c *Client) storedBy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != "" && c.origin.stream != "" {
		return c.origin.stream
	}
	return c.stream
}

func (c *Client) publishError(ctx context.Context, subject string, err error) error {
	switch {
	case disconnected(ctx, err):
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ErrDisconnected)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return fmt.Errorf("%w: %w", broker.ErrTooLarge, err)
	case apiCode(err) == codeTooManyRequests:
		return fmt.Errorf("%w: %w", broker.ErrOverloaded, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse) && !c.subjectTaken(ctx, subject):
		return broker.ErrNoStream
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, c.redact.err(err))
}

// subjectTaken reports whether some stream is configured for the subject, or
// nobody can tell: a stream without a leader does not answer a publish either, nor does
// the origin of a mirror that is cut off from it.
func (c *Client) subjectTaken(ctx context.Context, subject string) bool {
	js := c.js
	if o, ok := c.mirrorOf(); ok {
		var err error
		if js, err = jetstream.NewWithAPIPrefix(c.nc, o.api); err != nil {
			return true
		}
	}
	_, err := js.StreamNameBySubject(ctx, subject)
	return apiCode(err) != codeNotFound
}
