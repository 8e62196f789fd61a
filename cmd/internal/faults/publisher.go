//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	// attemptTimeout is for one attempt to publish.
	attemptTimeout = 4 * time.Second
	// repeatable is how long an event is repeated until it is acknowledged: below the
	// two minutes within which a repetition is known for one, by as much as an attempt
	// can be late.
	repeatable = 90 * time.Second
	// betweenAttempts is the pause after one that failed.
	betweenAttempts = 200 * time.Millisecond
)

// send publishes once and returns the sequence of the acknowledgement.
type send func(ctx context.Context, subject, id string, body []byte) (uint64, error)

// publisher publishes to one subject, one event after the other.
type publisher struct {
	subject string
	run     string // makes ids of this run unlike those of any other
	send    send
	ledger  *ledger
	tell    func(error)
	counter uint64
	// kick has it publish at once.
	kick chan struct{}
}

// publish publishes the next event and repeats it until it is acknowledged. It
// returns early, with the event given up, when ctx ends.
func (p *publisher) publish(ctx context.Context, size int) error {
	p.counter++
	body, err := encodePayload(p.subject, p.counter, size)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%s-%s-%d", p.run, p.subject, p.counter)
	deadline := time.Now().Add(repeatable)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		seq, err := p.send(attempt, p.subject, id, body)
		cancel()
		if err == nil {
			p.ledger.ack(p.subject, seq)
			return nil
		}
		p.tell(err)
		pause(ctx, betweenAttempts)
	}
	p.ledger.giveUp(p.subject)
	return ctx.Err()
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// publishSteadily publishes every period or so, and when it is kicked, until quit is
// closed; the event that is then under way is brought to its end, unless ctx ends too.
func (p *publisher) publishSteadily(ctx context.Context, quit <-chan struct{}, period time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(period/2 + rand.N(period))
		select {
		case <-timer.C:
		case <-p.kick:
		case <-quit:
			return nil
		}
		if err := p.publish(ctx, 64+rand.IntN(512)); err != nil {
			return err
		}
	}
}

// errNotStored is an answer of a gateway that could not publish.
var errNotStored = errors.New("not stored")

// overHTTP publishes through the load balancer.
func overHTTP(client *http.Client, frontend string) send {
	return func(ctx context.Context, subject, id string, body []byte) (uint64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+frontend+"/v1/publish/"+subject, bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Idempotency-Key", id)
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%w: %s", errNotStored, resp.Status)
		}
		var stored struct{ ID broker.ID }
		if err := json.Unmarshal(answer, &stored); err != nil {
			return 0, err
		}
		return stored.ID.Seq, nil
	}
}

// overNATS publishes to the cluster.
func overNATS(js jetstream.JetStream) send {
	return func(ctx context.Context, subject, id string, body []byte) (uint64, error) {
		msg := &nats.Msg{Subject: subject, Data: body}
		ack, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(id))
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
}
