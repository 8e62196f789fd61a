package jetstream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// codeWrongLastSequence is how JetStream says that an expectation was not met.
const codeWrongLastSequence jetstream.ErrorCode = 10071

// PublishAfter stores an event if the newest one of its subject has the sequence last,
// 0 for none, and returns its own. Otherwise the error wraps broker.ErrConflict, and nothing was
// stored. Any other error is as of Publish; and while a mirror and its origin have diverged
// nothing is stored, since whoever goes by what comes after would not see it.
func (c *Client) PublishAfter(ctx context.Context, p broker.Publication, last uint64) (seq uint64, err error) {
	if d := c.divergence(); d != nil {
		return 0, fmt.Errorf("publish to %q after %d: %w: %w", p.Subject, last, broker.ErrUnavailable, d)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ctx, cancelLive := c.whileConnected(ctx)
	defer cancelLive()
	ack, err := c.js.PublishMsg(ctx, natsMsg(p), jetstream.WithExpectLastSequencePerSubject(last))
	if api := apiError(err); api != nil && api.ErrorCode == codeWrongLastSequence {
		return 0, fmt.Errorf("publish to %q after %d: %w", p.Subject, last, broker.ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("publish to %q after %d: %w", p.Subject, last, c.publishError(ctx, p.Subject, err))
	}
	return ack.Sequence, nil
}
