package jetstream

import (
	"context"
	"fmt"
)

// Ask sends a NATS request and returns the reply. Where nobody listens on the subject
// that is an error at once.
func (c *Client) Ask(ctx context.Context, subject string, question []byte) ([]byte, error) {
	reply, err := c.nc.RequestWithContext(ctx, subject, question)
	if err != nil {
		return nil, fmt.Errorf("ask on %q: %w", subject, err)
	}
	return reply.Data, nil
}
