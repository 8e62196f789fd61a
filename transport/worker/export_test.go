package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// PublishEvent publishes the event number n of an answer, after the one with sequence last.
func PublishEvent(ctx context.Context, js jetstream.JetStream, subject, nonce string, n int, last uint64) (seq uint64, err error) {
	a := &Answer{js: js, subject: subject, nonce: nonce, ctx: ctx}
	return a.publish(ctx, 10*time.Second, a.message(event{typ: typeAdd, data: []byte("x")}, n), last)
}
