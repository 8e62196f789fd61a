package jetstream

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

const (
	defaultAPI = "$JS.API"
	// originTimeout bounds a question to the origin, which may be far away or behind a
	// link that swallows it; originQuestions how many are under way at a time. They do
	// not take the slots of those that the region can answer itself.
	originTimeout   = 3 * time.Second
	originQuestions = 8
	// mirrorQuiet is how long a mirror may hear nothing. Its origin sends a sign of life
	// every second, and after ten without one it tries to get there anew.
	mirrorQuiet = 15 * time.Second
	// denseLooks is how often a look at a mirror is repeated that events came in between.
	denseLooks = 10
)

// A mirror has the sequences and stamps of its origin, and so its ids (ADR-59). What is
// different about it:
//
//   - It is behind. An id beyond its end need not be of another stream: the origin knows
//     (Newest).
//   - What the origin's retention took before the mirror had it is missing in the middle
//     of the mirror, with older events before it. There the server leaves a hole without
//     a word, as for single events that an operator deleted, and nothing tells the two
//     apart later. So a mirror is taken to begin after its last hole (skipHoles).
//   - It takes in nothing itself. What is published is stored by the origin.
//   - It does not notice that its origin was made again, or put back (see diverged.go).

// originOf returns the stream of which that one is a mirror; ok is false where it is
// none.
func originOf(cfg jetstream.StreamConfig) (o origin, ok bool) {
	if cfg.Mirror == nil {
		return origin{}, false
	}
	o = origin{stream: cfg.Mirror.Name, api: defaultAPI}
	if ext := cfg.Mirror.External; ext != nil && ext.APIPrefix != "" {
		o.api = ext.APIPrefix
	}
	return o, true
}

// origin is a stream in another place: its name, and where JetStream's API is reached
// there.
type origin struct{ stream, api string }

// noteOrigin keeps whether the stream is a mirror, and of what: it may cease to be one.
func (c *Client) noteOrigin(cfg jetstream.StreamConfig) {
	o, ok := originOf(cfg)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.origin = o
	c.mirrored = c.mirrored || ok
}

// mirrorOf returns the origin; ok is false where the stream is no mirror.
func (c *Client) mirrorOf() (o origin, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.origin, c.origin.stream != ""
}

// wasMirror reports whether the stream has ever been found to be a mirror.
func (c *Client) wasMirror() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mirrored
}

// originState asks the origin for its state.
func (c *Client) originState(ctx context.Context, o origin) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, originTimeout)
	defer cancel()
	js, err := jetstream.NewWithAPIPrefix(c.nc, o.api)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("ask origin: %w", err)
	}
	stream, err := js.Stream(ctx, o.stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("ask origin %s at %s: %w", o.stream, o.api, err)
	}
	return stream.CachedInfo().State, nil
}

// newestOf returns the newest event of which the stream is known to know: a mirror, of
// those it has yet to get as well.
func newestOf(info *jetstream.StreamInfo) broker.ID {
	head := headOf(info.State)
	if info.Mirror == nil || info.Mirror.Lag == 0 {
		return head
	}
	return broker.ID{Seq: head.Seq + info.Mirror.Lag, Stamp: broker.NoStamp}
}

// cutOff reports whether a mirror has no contact with its origin.
func cutOff(info *jetstream.StreamInfo) bool {
	return info.Mirror != nil && (info.Mirror.Active < 0 || info.Mirror.Active > mirrorQuiet)
}

// skipHoles makes the state of a mirror with holes that of the part after the last one.
func (c *Client) skipHoles(ctx context.Context, name string, info *jetstream.StreamInfo) error {
	state := &info.State
	if info.Config.Mirror == nil || state.Msgs == 0 || state.LastSeq-state.FirstSeq+1 == state.Msgs {
		return nil
	}
	first, err := c.firstDense(ctx, name, info)
	if err != nil {
		return fmt.Errorf("look for the holes of a mirror: %w", err)
	}
	state.FirstSeq, state.Msgs = first, state.LastSeq-first+1
	return nil
}

// dense is from where on a mirror is known to have no hole. What comes later it may
// lack.
type dense struct {
	created time.Time // the mirror's
	first   uint64
}

// firstDense returns the sequence from which on nothing is missing.
func (c *Client) firstDense(ctx context.Context, name string, info *jetstream.StreamInfo) (uint64, error) {
	c.mu.Lock()
	known := c.dense
	c.mu.Unlock()
	first := info.State.FirstSeq
	if known.created.Equal(info.Created) {
		first = max(first, known.first)
	}
	var failed error
	isDense := func(seq uint64) bool {
		ok, err := c.denseFrom(ctx, name, seq)
		if err != nil {
			failed = err
		}
		return ok || err != nil
	}
	if !isDense(first) {
		n := sort.Search(int(info.State.LastSeq-first), func(i int) bool { return failed != nil || isDense(first+1+uint64(i)) })
		first += 1 + uint64(n)
	}
	if failed != nil {
		return 0, failed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dense = dense{info.Created, first}
	return first, nil
}

// denseFrom reports whether the stream lacks nothing from a sequence on: whether it has as
// many messages from there as there are sequences. The server does not tell both at once.
// Where it never stands still in between, a hole is seen that is larger than what comes in
// the meantime.
func (c *Client) denseFrom(ctx context.Context, name string, seq uint64) (bool, error) {
	for look := 1; ; look++ {
		before, err := c.rawStreamInfo(ctx, name)
		if err != nil {
			return false, err
		}
		s, err := c.openScan(ctx, name, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:   seq,
			HeadersOnly:   true,
		})
		if err != nil {
			return false, err
		}
		s.close()
		after, err := c.rawStreamInfo(ctx, name)
		if err != nil {
			return false, err
		}
		switch least, most := before.State.LastSeq+1, after.State.LastSeq+1; {
		case seq+s.pending < least:
			return false, nil
		case least == most || look == denseLooks:
			return true, nil
		}
	}
}
