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

// Subjects of the JetStream API that nats.go's jetstream package either does not
// offer or, on a stream with direct get, would send to any replica
// (https://docs.nats.io/reference/reference-protocols/nats_api_reference).
const (
	apiMsgGet  = ".STREAM.MSG.GET."
	apiMsgNext = defaultAPI + ".CONSUMER.MSG.NEXT."
)

// Codes of the JetStream API.
const (
	codeMsgNotFound    jetstream.ErrorCode = 10037
	codeStreamNotFound jetstream.ErrorCode = 10059
)

// msgGetRequest asks for one message: by Seq, the last one of LastFor, or the
// first one of NextFor from Seq on.
type msgGetRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

type msgGetResponse struct {
	Error   *jetstream.APIError `json:"error"`
	Message *struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Header  []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

// getMsg asks the stream's leader for one message; ok is false where there is
// none. Direct get may be answered by a replica that lags, which would call an
// id unknown that is not.
func (c *Client) getMsg(ctx context.Context, stream string, req msgGetRequest) (e broker.Event, ok bool, err error) {
	return c.getMsgOf(ctx, origin{stream, defaultAPI}, req)
}

// getMsgOf is getMsg for a stream in another place too.
func (c *Client) getMsgOf(ctx context.Context, o origin, req msgGetRequest) (e broker.Event, ok bool, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return e, false, err
	}
	answer, err := c.nc.RequestWithContext(ctx, o.api+apiMsgGet+o.stream, body)
	if err != nil {
		return e, false, fmt.Errorf("get message: %w", err)
	}
	var resp msgGetResponse
	if err := json.Unmarshal(answer.Data, &resp); err != nil {
		return e, false, fmt.Errorf("read message: %w", err)
	}
	switch {
	case resp.Error != nil && resp.Error.ErrorCode == codeMsgNotFound:
		return e, false, nil
	case resp.Error != nil && resp.Error.ErrorCode == codeStreamNotFound:
		return e, false, ErrStreamMissing
	case resp.Error != nil:
		return e, false, fmt.Errorf("get message: %w", resp.Error)
	case resp.Message == nil:
		return e, false, errors.New("get message: the answer has none")
	}
	m := resp.Message
	var header nats.Header
	if len(m.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return e, false, fmt.Errorf("read message %d: %w", m.Seq, err)
		}
	}
	e, _ = newEvent(broker.ID{Seq: m.Seq, Stamp: m.Time.UnixNano()}, m.Subject, header, m.Data)
	return e, true, nil
}

// streamInfo asks the stream's leader for its state. A mirror's begins after its last hole.
func (c *Client) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	info, err := c.rawStreamInfo(ctx, name)
	if err != nil {
		return nil, err
	}
	c.noteOrigin(info.Config)
	if err := c.skipHoles(ctx, name, info); err != nil {
		return nil, err
	}
	return info, nil
}

// rawStreamInfo returns the state as it is.
func (c *Client) rawStreamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	stream, err := c.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, ErrStreamMissing
	}
	if err != nil {
		return nil, fmt.Errorf("ask stream info: %w", err)
	}
	return stream.CachedInfo(), nil
}

// headOf returns the newest position of the stream. Its LastTime is the stamp of
// LastSeq even where that message was purged, deleted or expired, and after a
// restart or a crash, with or without its index (see doc.go).
func headOf(state jetstream.StreamState) broker.ID {
	if state.LastSeq == 0 {
		return broker.ID{}
	}
	return broker.ID{Seq: state.LastSeq, Stamp: stampOf(state.LastTime)}
}

// floorOf returns the position before the oldest message of the stream.
func floorOf(state jetstream.StreamState) broker.ID {
	if state.Msgs == 0 {
		return headOf(state)
	}
	return before(state.FirstSeq)
}

// before returns the position before a sequence.
func before(seq uint64) broker.ID {
	if seq <= 1 {
		return broker.ID{}
	}
	return broker.ID{Seq: seq - 1, Stamp: broker.NoStamp}
}

func stampOf(t time.Time) int64 {
	if t.IsZero() {
		return broker.NoStamp
	}
	return t.UnixNano()
}
