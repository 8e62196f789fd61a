package jetstream

import (
	"context"
	"errors"
	"testing"

	"ringcast/broker"
)

// endsWhile is a context that the loss of the connection ends while it is looked at.
type endsWhile struct {
	context.Context
	looks int
	end   context.CancelCauseFunc
}

func (c *endsWhile) Err() error {
	if c.looks--; c.looks < 0 {
		c.end(ErrDisconnected)
	}
	return c.Context.Err()
}

// What was not answered because the connection is gone is unavailable, whenever the context
// hears of that; only its caller cancels a question.
func TestUnavailable(t *testing.T) {
	for looks := range 4 {
		ctx, end := context.WithCancelCause(t.Context())
		err := unavailable(&endsWhile{ctx, looks, end}, "ask", errors.New("no connection"))
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, context.Canceled) {
			t.Errorf("ended at look %d: %v", looks, err)
		}
		end(nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unavailable(ctx, "ask", ctx.Err()); !errors.Is(err, context.Canceled) || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("canceled: %v", err)
	}
}
