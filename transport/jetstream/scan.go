package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	// A scan's consumer is deleted after use; this is for when that fails.
	scanInactiveThreshold = 10 * time.Second
	// How often a consumer is made anew that sits on a replica which lags.
	placements = 4
	// In a cluster the server asked may not have heard yet of a consumer that was
	// made a moment ago on another one: there are no responders then.
	pullAttempts = 5
	pullRetry    = 20 * time.Millisecond

	statusHeader   = "Status"
	statusNoMsgs   = "404"
	statusTimeout  = "408"
	statusConflict = "409"
)

// scan is a consumer for one question.
type scan struct {
	c      *Client
	stream string
	name   string
	// pending is how many messages match, as of its making.
	pending uint64
}

// openScan makes an ephemeral consumer. On a replicated stream it may be placed
// on any replica, and one that lags has not what the leader has: it is then made
// again, in the hope of another place.
func (c *Client) openScan(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (*scan, error) {
	cfg.Description = "ringcast history"
	cfg.AckPolicy = jetstream.AckNonePolicy
	cfg.MemoryStorage = true
	cfg.Replicas = 1
	cfg.InactiveThreshold = scanInactiveThreshold
	for range placements {
		consumer, err := c.js.CreateConsumer(ctx, stream, cfg)
		if err != nil {
			return nil, fmt.Errorf("create consumer: %w", err)
		}
		info := consumer.CachedInfo()
		s := &scan{c: c, stream: stream, name: info.Name, pending: info.NumPending}
		current, err := c.placedWell(ctx, stream, info)
		if err == nil && current {
			return s, nil
		}
		s.close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("create consumer: every replica asked lags behind the leader")
}

// placedWell reports whether the consumer's server has what the stream's leader
// has, as the leader knows it.
func (c *Client) placedWell(ctx context.Context, stream string, consumer *jetstream.ConsumerInfo) (bool, error) {
	if consumer.Cluster == nil || consumer.Cluster.Leader == "" {
		return true, nil // one server
	}
	info, err := c.rawStreamInfo(ctx, stream)
	if err != nil {
		return false, err
	}
	if info.Config.Replicas <= 1 || info.Cluster == nil || info.Cluster.Leader == consumer.Cluster.Leader {
		return true, nil
	}
	for _, peer := range info.Cluster.Replicas {
		if peer.Name == consumer.Cluster.Leader {
			return peer.Current && peer.Lag == 0, nil
		}
	}
	return false, nil
}

// close deletes the consumer, also when the question's context has ended.
func (s *scan) close() {
	if !s.c.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.c.js.DeleteConsumer(ctx, s.stream, s.name)
}

// scanned is one message of a scan.
type scanned struct {
	event broker.Event
	// left is how many messages match after this one.
	left uint64
}

// pull calls f with the next messages, at most n and about maxBytes, until f
// returns false. done reports that there are no more. nats.go's own
// Fetch cannot be bounded in bytes and at the same time not wait, and a limit
// below one message would make it return nothing, for ever.
func (s *scan) pull(ctx context.Context, n, maxBytes int, f func(scanned) bool) (done bool, err error) {
	for attempt := 1; ; attempt++ {
		done, err = s.pullOnce(ctx, n, maxBytes, f)
		if !errors.Is(err, nats.ErrNoResponders) || attempt == pullAttempts {
			return done, err
		}
		timer := time.NewTimer(time.Duration(attempt) * pullRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		}
	}
}

func (s *scan) pullOnce(ctx context.Context, n, maxBytes int, f func(scanned) bool) (done bool, err error) {
	// SubscribeSync would make room for 65,536 messages: half a MiB for each pull.
	sub, err := s.c.nc.ChanSubscribe(s.c.nc.NewInbox(), make(chan *nats.Msg, n+1))
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	request, err := json.Marshal(map[string]any{
		"batch":     n,
		"max_bytes": maxBytes + int(s.c.nc.MaxPayload()) + pullOverhead,
		"no_wait":   true,
	})
	if err != nil {
		return false, err
	}
	if err := s.c.nc.PublishRequest(apiMsgNext+s.stream+"."+s.name, sub.Subject, request); err != nil {
		return false, err
	}
	for range n {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return false, fmt.Errorf("pull: %w", err)
		}
		if status := msg.Header.Get(statusHeader); status != "" && len(msg.Data) == 0 && msg.Reply == "" {
			return endOfPull(status, msg.Header.Get("Description"))
		}
		m, err := newScanned(msg)
		if err != nil {
			return false, err
		}
		if !f(m) {
			return false, nil
		}
		if m.left == 0 {
			return true, nil
		}
	}
	return false, nil
}

// endOfPull reads the status that ends a pull before n messages have come.
func endOfPull(status, description string) (done bool, err error) {
	switch {
	case status == statusNoMsgs:
		return true, nil
	case status == statusTimeout, status == statusConflict && description == "Message Size Exceeds MaxBytes":
		return false, nil
	}
	return false, fmt.Errorf("pull: %s %s", status, description)
}

func newScanned(msg *nats.Msg) (scanned, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return scanned{}, fmt.Errorf("read message metadata: %w", err)
	}
	id := broker.ID{Seq: meta.Sequence.Stream, Stamp: meta.Timestamp.UnixNano()}
	e, _ := newEvent(id, msg.Subject, msg.Header, msg.Data)
	return scanned{event: e, left: meta.NumPending}, nil
}
