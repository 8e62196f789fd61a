package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// The types of the events that PROTOCOL.md knows.
const (
	typeAdd    = "add"
	typeInfo   = "info"
	typeFinish = "finish"
	typeError  = "error"
)

// Why an answer cannot go on: the cause of the handler's context, and what the methods
// of Answer return from then on.
var (
	// ErrStopped: whoever asked has it stop, or the gateway does.
	ErrStopped = errors.New("answer is to stop")
	// ErrEnded: the answer has had its last event.
	ErrEnded = errors.New("answer has ended")
	// ErrShutdown: the worker shuts down, and its grace is over.
	ErrShutdown = errors.New("worker shuts down")
	// ErrUnavailable: NATS has not taken an event for as long as Options.Patience.
	ErrUnavailable = errors.New("event cannot be stored")
	// ErrTooLarge: an event is larger than NATS takes.
	ErrTooLarge = errors.New("event is too large")
)

// maxAdd bounds the text of one event. More goes out as several.
const maxAdd = 64 << 10

// besidePayload is room for an event's headers in what the server takes.
const besidePayload = 2 << 10

// Answer is where a handler says what it has to say. Its events are stored in the order
// of the calls. Its methods may be called from any goroutine.
type Answer struct {
	js       jetstream.JetStream
	subject  string // where its events are published
	claim    uint64 // the sequence of the event before the first one here, which is the gateway's
	nonce    string // begins the message ids of this very run of a handler
	most     int    // bytes of payload that an event may have
	buffer   int
	separate bool

	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards what follows; nothing but changed.Wait blocks while it is held
	changed sync.Cond  // the queue, or why it is not taken from
	queue   []event
	size    int    // bytes of data in queue
	held    string // the beginning of a character whose end is still to come
	ended   bool   // the last event is in the queue, or was
	broken  error  // why no event but an error can follow
	left    bool   // the rest is not published
	over    bool   // send has returned
}

type event struct {
	typ  string
	data []byte
	last bool
}

// Add says a piece of the text. It waits only while more than Options.Buffer is still to
// be stored. Pieces may be cut anywhere, also within a character.
func (a *Answer) Add(text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	text = a.held + text
	whole := len(text) - incomplete(text)
	a.held = text[whole:]
	return a.addLocked(strings.ToValidUTF8(text[:whole], "\uFFFD"))
}

func (a *Answer) addLocked(text string) error {
	most := min(maxAdd, a.most)
	for len(text) > 0 {
		n := min(len(text), most)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		if err := a.pushLocked(event{typ: typeAdd, data: []byte(text[:n])}); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// incomplete returns how many bytes at the end are the beginning of a character.
func incomplete(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRuneInString(end) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Info says something beside the text: v as JSON.
func (a *Answer) Info(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode info: %w", err)
	}
	return a.Send(typeInfo, data)
}

// Send says an event of any other type. An error that wraps ErrTooLarge changes nothing.
func (a *Answer) Send(typ string, data []byte) error {
	if typ == typeFinish || typ == typeError {
		return fmt.Errorf("send %s: it is the last event: use Finish or Fail", typ)
	}
	if err := broker.ValidateType(typ); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if len(data)+len(typ) > a.most {
		return fmt.Errorf("send %s: %w: %d bytes, %d are taken", typ, ErrTooLarge, len(data), a.most-len(typ))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pushLocked(event{typ: typ, data: data})
}

// Finish ends the answer, which is whole; v is its data as JSON, nil for none. It
// returns once all is stored. An answer that is to stop can still be finished.
func (a *Answer) Finish(v any) error {
	var data []byte
	if v != nil {
		var err error
		if data, err = json.Marshal(v); err != nil {
			return fmt.Errorf("encode finish: %w", err)
		}
	}
	if len(data)+len(typeFinish) > a.most {
		return fmt.Errorf("finish: %w: %d bytes, %d are taken", ErrTooLarge, len(data), a.most)
	}
	return a.end(event{typ: typeFinish, data: data, last: true})
}

// Failure is why an answer is not whole: the data of the event error. As an error of a
// handler it is what is said.
type Failure struct {
	// Reason is for programs: a word or several_words.
	Reason string `json:"reason"`
	// Detail is for people, and is shown to them.
	Detail string `json:"detail,omitempty"`
	// Status is what a caller who has waited for JSON gets, from 400 to 599. Default: 502.
	Status int `json:"status,omitempty"`
	// RetryAfter is in how many seconds it may be worth asking again.
	RetryAfter int `json:"retry_after,omitempty"`
}

func (f *Failure) Error() string { return f.Reason + ": " + f.Detail }

// Fail ends the answer, which is not whole. It returns once all is stored.
func (a *Answer) Fail(f Failure) error {
	const mostDetail = 1 << 10
	if len(f.Detail) > mostDetail {
		f.Detail = strings.ToValidUTF8(f.Detail[:mostDetail], "") + "…"
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode failure: %w", err)
	}
	return a.end(event{typ: typeError, data: data, last: true})
}

// end queues the last event, and waits until it is stored.
func (a *Answer) end(e event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.queueLastLocked(e); err != nil {
		return err
	}
	// After an event that was too large, send waits for an error instead of this finish.
	for !a.over && (a.broken == nil || e.typ == typeError) {
		a.changed.Wait()
	}
	if a.broken != nil && (a.left || e.typ == typeFinish) {
		return fmt.Errorf("%s: %w", e.typ, a.broken)
	}
	return nil
}

// queueLastLocked queues the last event, for which there is room however full the queue is.
func (a *Answer) queueLastLocked(e event) error {
	switch {
	case a.broken != nil && (a.left || a.over || e.typ == typeFinish):
		return a.broken
	case a.ended:
		return ErrEnded
	}
	if a.held != "" {
		a.queue = append(a.queue, event{typ: typeAdd, data: []byte("\uFFFD")})
		a.held = ""
	}
	a.queue = append(a.queue, e)
	a.ended = true
	a.changed.Broadcast()
	return nil
}

// pushLocked queues an event, once there is room.
func (a *Answer) pushLocked(e event) error {
	for {
		if err := a.refusedLocked(); err != nil {
			return err
		}
		if len(a.queue) == 0 || a.size+len(e.data) <= a.buffer {
			break
		}
		a.changed.Wait()
	}
	a.size += len(e.data)
	if n := len(a.queue); !a.separate && e.typ == typeAdd && n > 0 {
		if before := &a.queue[n-1]; before.typ == typeAdd && len(before.data)+len(e.data) <= min(maxAdd, a.most) {
			before.data = append(before.data, e.data...)
			return nil
		}
	}
	a.queue = append(a.queue, e)
	a.changed.Broadcast()
	return nil
}

// refusedLocked returns why no further event is taken, nil if it is.
func (a *Answer) refusedLocked() error {
	switch {
	case a.broken != nil:
		return a.broken
	case a.ended:
		return ErrEnded
	case a.ctx.Err() != nil:
		return context.Cause(a.ctx)
	}
	return nil
}

// wake has those who wait look again: the handler's context has ended.
func (a *Answer) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed.Broadcast()
}

// lastWord ends an answer whose handler has returned, unless it has ended.
func (a *Answer) lastWord(result error) (err error) {
	if result == nil && a.ctx.Err() == nil {
		if err = a.Finish(nil); !errors.Is(err, ErrTooLarge) {
			return err
		}
	}
	return a.Fail(a.failure(result))
}

// failure is what is said of an answer that is not whole.
func (a *Answer) failure(result error) Failure {
	cause := context.Cause(a.ctx)
	var failure *Failure
	var refusal *Refusal
	switch {
	case errors.Is(cause, ErrStopped):
		return Failure{Reason: "stopped", Detail: "the answer was stopped"}
	case errors.Is(cause, ErrShutdown):
		return Failure{Reason: "shutdown", Detail: "the worker shuts down"}
	case errors.As(result, &failure):
		return *failure
	case errors.As(result, &refusal): // of Decode
		return Failure{Reason: "invalid", Detail: fmt.Sprint(refusal.Body["detail"]), Status: refusal.Status}
	case result != nil:
		return Failure{Reason: "failed", Detail: result.Error()}
	}
	return Failure{Reason: "failed", Detail: fmt.Sprint(cause)}
}
