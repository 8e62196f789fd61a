package gateway_test

import (
	"context"
	"errors"
	"fmt"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

type publisher struct{ client *jetstream.Client }

func (p publisher) Publish(ctx context.Context, pub broker.Publication) (broker.Receipt, error) {
	ack, err := p.client.Publish(ctx, jetstream.Message{Subject: pub.Subject, Type: pub.Type, End: pub.End, MsgID: pub.MsgID, Data: pub.Data})
	if errors.Is(err, jetstream.ErrPublishUnavailable) {
		err = fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	return broker.Receipt{Seq: ack.Seq, Duplicate: ack.Duplicate}, err
}
