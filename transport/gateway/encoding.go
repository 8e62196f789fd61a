package gateway

import (
	"ringcast/broker"
	"ringcast/transport/sse"
)

// encoding is the form in which streams carry events. What is made of an event, or
// of a batch, is the same bytes for every stream of an encoding, and is made once.
type encoding struct {
	// number is what the broker keeps the bytes under.
	number int
	// gzip reports that bodies are one gzip member, put together from runs; see
	// sse.AppendGzipHeader. Every kept run has its GzipPart behind it.
	gzip bool
	// frame appends an event as it is before compression.
	frame func([]byte, *broker.Event) []byte
	// event appends what is kept of an event, and chunk what is kept of a batch: the
	// frames of its events as one chunk.
	event func([]byte, *broker.Event) []byte
	chunk func([]byte, []*broker.Delivery) []byte
}

// formats is how many formats there are. Their encodings with gzip follow those
// without.
const formats = int(sse.JSON) + 1

// The broker keeps all of them: this does not compile where there are more.
const _ = uint(broker.Encodings - 2*formats)

// newEncodings returns the encodings of every format.
func newEncodings(stream string) []*encoding {
	source := sse.Source(stream)
	all := make([]*encoding, 2*formats)
	for i := range formats {
		frame := func(b []byte, e *broker.Event) []byte { return sse.Format(i).AppendFrame(b, e, source) }
		all[i] = newPlainEncoding(i, frame)
		all[formats+i] = newGzipEncoding(formats+i, all[i])
	}
	return all
}

func newPlainEncoding(number int, frame func([]byte, *broker.Event) []byte) *encoding {
	enc := &encoding{number: number, frame: frame, event: frame}
	enc.chunk = func(b []byte, events []*broker.Delivery) []byte {
		return appendChunk(b, func(b []byte) []byte { return enc.appendFrames(b, events) })
	}
	return enc
}

// newGzipEncoding deflates a batch that is shared as one run: of small events it
// makes a third, where alone they do not get any smaller.
func newGzipEncoding(number int, plain *encoding) *encoding {
	enc := &encoding{number: number, gzip: true, frame: plain.frame}
	enc.event = func(b []byte, e *broker.Event) []byte {
		return appendDeflated(b, func(text []byte) []byte { return plain.frame(text, e) })
	}
	enc.chunk = func(b []byte, events []*broker.Delivery) []byte {
		var part sse.GzipPart
		b = appendChunk(b, func(b []byte) []byte {
			b = appendDeflated(b, func(text []byte) []byte { return plain.appendFrames(text, events) })
			b, part = sse.CutGzipPart(b)
			return b
		})
		return part.Append(b)
	}
	return enc
}

// appendDeflated appends what fill appends to its argument as a run, and its part.
func appendDeflated(b []byte, fill func([]byte) []byte) []byte {
	buf := takeBuffer()
	defer giveBuffer(buf)
	*buf = fill(*buf)
	return sse.NewGzipPart(*buf).Append(sse.AppendDeflated(b, *buf))
}

// appendFrames appends the events' frames. That of a recent event is made once.
func (enc *encoding) appendFrames(b []byte, events []*broker.Delivery) []byte {
	for _, d := range events {
		if frame, ok := d.Encoded(enc.number, enc.event); ok {
			b = append(b, frame...)
		} else {
			b = enc.frame(b, &d.Event)
		}
	}
	return b
}
