package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"ringcast/broker"
)

// ErrCallout says that whoever decides about subscriptions could not be asked, or gave
// no answer that can be read. Nothing is allowed then; it may be tried again.
var ErrCallout = errors.New("whether this may be subscribed to cannot be found out now")

// Asker sends a question and returns the answer. It is called from any number of
// goroutines.
type Asker interface {
	Ask(ctx context.Context, subject string, question []byte) (answer []byte, err error)
}

// Callout asks the operator's own service, over NATS, about each subscription that
// the grants allow. The zero value asks nobody.
type Callout struct {
	// Asker sends the questions, to Subject.
	Asker   Asker
	Subject string
	// Timeout bounds one question. Default: 2 s.
	Timeout time.Duration
	// Keep is how long an answer holds for the same question. Default: 5 s.
	Keep time.Duration
}

// Question is what the service is asked.
type Question struct {
	// Identity is the token's sub, empty without one, and Address where the client is.
	Identity string `json:"identity"`
	Address  string `json:"address"`
	// Subjects are the patterns that are to be subscribed to, sorted.
	Subjects []string `json:"subjects"`
}

// Answer is what the service answers.
type Answer struct {
	Allow bool `json:"allow"`
	// Reason is for the client, where it is not allowed.
	Reason string `json:"reason,omitempty"`
}

// RefusedError is a refusal by the service.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return "this subscription is not allowed"
	}
	return "this subscription is not allowed: " + e.Reason
}

// maxReason bounds what of a reason is passed on, in bytes.
const maxReason = 200

// callouts asks, and keeps answers for a moment: a client that reconnects, and many
// that ask the same, are one question.
type callouts struct {
	Callout
	log *slog.Logger

	mu      sync.Mutex // guards what follows; nothing blocks while it is held
	kept    map[string]verdict
	swept   time.Time
	failing bool // the last question could not be answered
}

// verdict is the answer to a question, once done is closed by the goroutine that asked.
type verdict struct {
	done  chan struct{}
	err   *error
	until time.Time
}

// maxVerdicts bounds the answers kept. Beyond it every question is asked.
const maxVerdicts = 10_000

func newCallouts(c Callout, log *slog.Logger) *callouts {
	if c.Asker == nil {
		return nil
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Keep <= 0 {
		c.Keep = 5 * time.Second
	}
	return &callouts{Callout: c, log: log, kept: make(map[string]verdict)}
}

// MaySubscribe returns nil when id may subscribe to everything that the filter can
// match: it is granted, and the callout, where there is one, agrees. The error is a
// *DeniedError, a *RefusedError or wraps ErrCallout.
func (p *Policy) MaySubscribe(ctx context.Context, id *Identity, address string, f broker.Filter) error {
	if err := id.may(Subscribe, f.Subjects()...); err != nil || p.callouts == nil || id.ticket {
		return err
	}
	return p.callouts.ask(ctx, Question{Identity: id.Subject, Address: address, Subjects: f.Subjects()})
}

// OpenToAll reports whether everybody may subscribe to all that the filter can match,
// without a token, and nobody else is asked.
func (p *Policy) OpenToAll(f broker.Filter) bool {
	return p.callouts == nil && p.anonymous.may(Subscribe, f.Subjects()...) == nil
}

func (c *callouts) ask(ctx context.Context, q Question) error {
	question, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCallout, err)
	}
	key := string(question)
	v, mine := c.verdictOf(key)
	if !mine {
		select {
		case <-v.done:
			return *v.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	a, err := c.put(question)
	switch {
	case err != nil:
		*v.err = ErrCallout // the cause, which names what is inside, is for the log
	case !a.Allow:
		*v.err = &RefusedError{Reason: printable(a.Reason)}
	}
	close(v.done)
	c.note(key, err)
	return *v.err
}

// verdictOf returns the verdict on a question. It is the caller's to find where mine.
func (c *callouts) verdictOf(key string) (v verdict, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if v, ok := c.kept[key]; ok && now.Before(v.until) {
		return v, false
	}
	v = verdict{done: make(chan struct{}), err: new(error), until: now.Add(c.Keep)}
	if len(c.kept) >= maxVerdicts && now.Sub(c.swept) >= time.Second {
		c.swept = now
		for k, old := range c.kept {
			if !now.Before(old.until) {
				delete(c.kept, k)
			}
		}
	}
	if len(c.kept) < maxVerdicts {
		c.kept[key] = v
	}
	return v, true
}

// note forgets the verdict on a question that could not be answered, which is not to
// be held against those who come next, and logs when that begins.
func (c *callouts) note(key string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		delete(c.kept, key)
		if !c.failing {
			c.log.Warn("cannot ask whether a subscription is allowed: nothing is", "err", err)
		}
	}
	c.failing = err != nil
}

// put puts the question. It does not end with the request that it is for: others may
// wait for the same answer.
func (c *callouts) put(question []byte) (a Answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	reply, err := c.Asker.Ask(ctx, c.Subject, question)
	if err != nil {
		return Answer{}, err
	}
	if err := json.Unmarshal(reply, &a); err != nil {
		return Answer{}, fmt.Errorf("read answer: %w", err)
	}
	return a, nil
}

// printable returns the beginning of a text that can stand on a line.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
