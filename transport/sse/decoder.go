package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"ringcast/broker"
)

// DefaultMaxEventSize is how many bytes a Decoder takes for one event unless it
// is told otherwise. A payload of 64 MiB, the most that NATS takes with its default
// max_pending, is 86 MiB as base64.
const DefaultMaxEventSize = 96 << 20

// ErrEventTooLarge: a line, or the data of one event, is longer than the
// decoder's bound.
var ErrEventTooLarge = errors.New("event is too large")

// Message is an event as the EventSource standard dispatches it.
type Message struct {
	// Type is the event's name, "message" where the server sent none.
	Type string
	// Data is the payload, its lines joined by LF. It belongs to the receiver.
	Data []byte
	// LastEventID is the id to resume after: that of this event, or of an earlier
	// one where this one has none.
	LastEventID string
}

// Decoder reads messages from an event stream. It follows
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation;
// the names of the buffers are the standard's.
//
// It keeps one read buffer, and of the stream no more than the event it is in.
type Decoder struct {
	r         io.Reader
	maxSize   int
	onComment func(text []byte)

	buf    []byte // what r is read into
	unread []byte // the part of buf not looked at yet
	hasCR  bool   // buf was read with a CR in it
	err    error  // what r ended with; unread comes first
	line   []byte // the line so far, where it spans reads
	skipLF bool   // the last line ended in CR: an LF that follows belongs to it
	inBody bool   // the first line is through: a byte order mark is text now

	dataBuffer  []byte
	typeBuffer  string
	idBuffer    string
	lastEventID string
	retry       time.Duration
	hasRetry    bool
}

// DecoderOption changes what NewDecoder makes.
type DecoderOption func(*Decoder)

// WithMaxEventSize bounds one line (with its field name), and the data of one
// event, to n bytes each; by default DefaultMaxEventSize.
func WithMaxEventSize(n int) DecoderOption {
	return func(d *Decoder) { d.maxSize = n }
}

// WithComments has f called with the text of each comment line (without the
// colon, and decoded as the rest of the stream is), from within Next. text is
// valid until f returns.
func WithComments(f func(text []byte)) DecoderOption {
	return func(d *Decoder) { d.onComment = f }
}

// WithLastEventID starts with the id that an earlier connection ended with, which
// stands until the stream sends another one.
func WithLastEventID(id string) DecoderOption {
	return func(d *Decoder) { d.idBuffer, d.lastEventID = id, id }
}

// NewDecoder returns a decoder that reads r, by calls of Read for 32 KiB or less.
// It reads only when it has no complete event left, so a reader that is wrapped to
// see every Read return sees each sign of life from the server, heartbeats
// included, when it arrives.
func NewDecoder(r io.Reader, opts ...DecoderOption) *Decoder {
	d := &Decoder{r: r, maxSize: DefaultMaxEventSize, buf: make([]byte, 32<<10)}
	for _, opt := range opts {
		opt(d)
	}
	return d
}

// LastEventID returns the id to reconnect with: that of the last complete block
// that had one, whether or not it held an event. An id counts when its block's
// blank line has come, so that an event cut in the middle is sent again.
func (d *Decoder) LastEventID() string { return d.lastEventID }

// Retry returns the reconnection time that the stream named last; ok is false
// where it named none.
func (d *Decoder) Retry() (wait time.Duration, ok bool) { return d.retry, d.hasRetry }

// Next returns the next message, waiting for the reader where it must: a message
// is returned once the first byte of its blank line has been read. It returns the
// reader's error, io.EOF included, after the last complete message (what comes
// after that is dropped, as the standard says), and an error that wraps
// ErrEventTooLarge. After an error it returns that error again.
func (d *Decoder) Next() (Message, error) {
	for {
		line, err := d.readLine()
		if err == nil && len(line) > 0 {
			err = d.interpret(line)
		}
		if err != nil {
			d.err, d.unread = err, nil
			return Message{}, err
		}
		if len(line) > 0 {
			continue
		}
		if m, ok := d.dispatch(); ok {
			return m, nil
		}
	}
}

// interpret handles one line that is not blank.
func (d *Decoder) interpret(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "": // a comment; without a colon the line would be blank
		if d.onComment != nil {
			d.onComment(decodeUTF8(line[1:]))
		}
	case "data":
		return d.appendData(value)
	case "event":
		d.typeBuffer = string(decodeUTF8(value))
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.idBuffer = string(decodeUTF8(value))
		}
	case "retry":
		d.setRetry(value)
	}
	return nil
}

func (d *Decoder) appendData(value []byte) error {
	if len(d.dataBuffer)+len(value) > d.maxSize {
		return d.tooLarge()
	}
	d.dataBuffer = slices.Grow(d.dataBuffer, len(value)+1)
	d.dataBuffer = append(d.dataBuffer, value...)
	d.dataBuffer = append(d.dataBuffer, '\n')
	return nil
}

// setRetry takes ASCII digits only, however many.
func (d *Decoder) setRetry(value []byte) {
	if len(value) == 0 || bytes.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		return
	}
	const most = math.MaxInt64 / uint64(time.Millisecond)
	ms, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil { // out of range
		ms = most
	}
	d.retry, d.hasRetry = time.Duration(min(ms, most))*time.Millisecond, true
}

// dispatch ends a block. A block without data moves the last event id only.
func (d *Decoder) dispatch() (m Message, ok bool) {
	d.lastEventID = d.idBuffer
	data, typ := d.dataBuffer, d.typeBuffer
	d.dataBuffer, d.typeBuffer = nil, ""
	if len(data) == 0 {
		return Message{}, false
	}
	if typ == "" {
		typ = broker.DefaultType
	}
	data = decodeUTF8(data[:len(data)-1])
	return Message{Type: typ, Data: data, LastEventID: d.lastEventID}, true
}

func (d *Decoder) tooLarge() error {
	return fmt.Errorf("%w: more than %d bytes", ErrEventTooLarge, d.maxSize)
}
