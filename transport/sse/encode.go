package sse

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"ringcast/broker"
)

// ContentType is the media type of an event stream. It takes no charset: the
// format is UTF-8 by definition.
const ContentType = "text/event-stream"

// GapEvent is the type of the event that tells a client what it missed.
const GapEvent = broker.ReservedTypePrefix + "gap"

var lf, cr = []byte{'\n'}, []byte{'\r'}

// AppendEvent appends one event: its name unless typ is empty, its payload, and
// last its id.
//
// typ is one that broker.ValidateType accepts or one of Ringcast's own: a line
// end in it would be a line of its own on the wire. data is UTF-8; each LF, CRLF
// and CR in it begins a new data: line. Empty data is one empty data: line, which
// clients dispatch (without any they would drop the block).
func AppendEvent(dst []byte, typ string, data []byte, id broker.ID) []byte {
	dst = slices.Grow(dst, len(typ)+len(data)+frameOverhead)
	dst = appendName(dst, typ)
	dst = appendData(dst, data)
	return appendID(dst, id)
}

// frameOverhead is what a block with one data line takes beside its type and
// data.
const frameOverhead = len("event: \n") + len("data: \n") + len("id: \n\n") + broker.MaxIDLen

// AppendBookmark appends the position id without an event. As a block (with its
// blank line) it moves the last event id of every conforming client and
// dispatches nothing. As a bare line it suits clients that would fire an empty
// message for such a block; they take the id over when they read the line.
func AppendBookmark(dst []byte, id broker.ID, block bool) []byte {
	dst = appendID(dst, id)
	if !block {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// AppendHeartbeat appends an empty comment line, which keeps proxies and clients
// from taking a quiet stream for a dead one.
func AppendHeartbeat(dst []byte) []byte { return append(dst, ":\n"...) }

// AppendRetry appends the time that a client shall wait before it reconnects, in
// milliseconds, rounded up. It is a line within whatever block comes next.
func AppendRetry(dst []byte, wait time.Duration) []byte {
	ms := max(0, (wait+time.Millisecond-1)/time.Millisecond)
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, int64(ms), 10)
	return append(dst, '\n')
}

// AppendGap appends the event that says that events are missing before g.At, the
// position the stream goes on from. withID gives the client that position as its
// last event id; without, it keeps the one it has.
func AppendGap(dst []byte, g *broker.Gap, withID bool) []byte {
	dst = appendName(dst, GapEvent)
	dst = append(dst, "data: "...)
	dst = AppendGapJSON(dst, g)
	dst = append(dst, '\n')
	if !withID {
		return append(dst, '\n')
	}
	return appendID(dst, g.At)
}

// AppendGapJSON appends {"reason":…,"requested":…,"oldest":…}: the data of a gap's
// event, and the member of a page. What was requested is any text: it is the
// client's.
func AppendGapJSON(dst []byte, g *broker.Gap) []byte {
	dst = append(dst, `{"reason":`...)
	dst = AppendString(dst, string(g.Reason))
	dst = append(dst, `,"requested":`...)
	dst = AppendString(dst, g.Requested)
	dst = append(dst, `,"oldest":"`...)
	dst = g.Oldest.AppendText(dst)
	return append(dst, `"}`...)
}

func appendName(dst []byte, typ string) []byte {
	if typ == "" {
		return dst
	}
	dst = append(dst, "event: "...)
	dst = append(dst, typ...)
	return append(dst, '\n')
}

// appendData writes data as data: lines. Every byte is looked at once for LF and
// once for CR, by vector instructions, however the two are mixed.
func appendData(dst, data []byte) []byte {
	for more := true; more; {
		var line []byte
		line, data, more = bytes.Cut(data, lf)
		if more {
			line = bytes.TrimSuffix(line, cr)
		}
		dst = appendLinesByCR(dst, line)
	}
	return dst
}

// appendLinesByCR writes text without LF as data: lines. The space after the
// colon is always there: every client strips exactly one, so that a payload's own
// leading space survives.
func appendLinesByCR(dst, text []byte) []byte {
	for more := true; more; {
		var line []byte
		line, text, more = bytes.Cut(text, cr)
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return dst
}

// appendID ends a block: the id and the blank line.
func appendID(dst []byte, id broker.ID) []byte {
	dst = append(dst, "id: "...)
	dst = id.AppendText(dst)
	return append(dst, "\n\n"...)
}
