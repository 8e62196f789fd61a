package main

import (
	"context"
	"errors"
	"fmt"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// publisher is the gateway's way into the stream: a broker.Publisher over a
// JetStream client.
type publisher struct{ client *jetstream.Client }

var _ broker.Publisher = publisher{}

// publishErrors are the client's errors and what the domain calls them.
var publishErrors = []struct{ client, domain error }{
	{jetstream.ErrTooLarge, broker.ErrTooLarge},
	{jetstream.ErrOverloaded, broker.ErrOverloaded},
	{jetstream.ErrNoStream, broker.ErrNoStream},
	{jetstream.ErrPublishUnavailable, broker.ErrUnavailable},
}

func (p publisher) Publish(ctx context.Context, pub broker.Publication) (broker.Receipt, error) {
	ack, err := p.client.Publish(ctx, jetstream.Message{
		Subject: pub.Subject,
		Type:    pub.Type,
		End:     pub.End,
		MsgID:   pub.MsgID,
		Data:    pub.Data,
	})
	for _, e := range publishErrors {
		if errors.Is(err, e.client) {
			return broker.Receipt{}, fmt.Errorf("%w: %w", e.domain, err)
		}
	}
	return broker.Receipt{Seq: ack.Seq, Duplicate: ack.Duplicate}, err
}
