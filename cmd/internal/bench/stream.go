package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// stream reads the HTTP/1.1 response of one event stream, in whatever pieces it
// arrives. It keeps nothing of what it has read but an unfinished line.
type stream struct {
	state   streamState
	chunked bool
	left    int    // bytes to come of this chunk, or while its size is read, that size
	line    []byte // the beginning of an unfinished line, or of the head

	stamp   stamp // of the block being read
	stamped bool
	data    bool // the block has data
	gap     bool

	keepID bool   // take ids over into lastID
	lastID []byte // the newest id
	ided   bool   // an id line has come

	gzip   bool    // the answer has to be compressed
	gunzip *gunzip // nil where it is not
}

type streamState uint8

const (
	inHead      streamState = iota
	inChunkSize             // hexadecimal digits
	inChunkExt              // the rest of the size's line
	inChunk                 // data
	afterChunk              // the line end after data
	inBody                  // data to the end of the connection
	ended                   // the last chunk has come
)

// Limits of what one stream may make the reader keep.
const (
	maxHead  = 16 << 10
	maxLine  = 64 << 20
	maxChunk = 1 << 30
)

var errEnded = errors.New("bytes after the end of the body")

// refusedError is an answer that is no stream.
type refusedError struct{ head string }

func (e *refusedError) Error() string {
	status, _, _ := bytes.Cut([]byte(e.head), []byte("\r\n"))
	return fmt.Sprintf("the server answered %q", status)
}

// events is told what a stream brings.
type events interface {
	event(stamp) // an event with a stamp
	other()      // one without
	gap()        // a ringcast.gap event
}

// feed reads the next bytes, which it does not keep.
func (s *stream) feed(p []byte, to events) error {
	for len(p) > 0 {
		var err error
		if p, err = s.step(p, to); err != nil {
			return err
		}
	}
	return nil
}

// step reads some of p and returns the rest.
func (s *stream) step(p []byte, to events) ([]byte, error) {
	switch s.state {
	case inHead:
		return s.readHead(p)
	case inChunkSize, inChunkExt, afterChunk:
		return p[1:], s.frame(p[0])
	case inChunk:
		n := min(s.left, len(p))
		if s.left -= n; s.left == 0 {
			s.state = afterChunk
		}
		return p[n:], s.decode(p[:n], to)
	case inBody:
		return nil, s.decode(p, to)
	default:
		return nil, checkEnd(p)
	}
}

// checkEnd returns nil for what follows the last chunk: an empty line, as no one
// here sends trailers.
func checkEnd(p []byte) error {
	if len(bytes.Trim(p, "\r\n")) > 0 {
		return errEnded
	}
	return nil
}

func (s *stream) readHead(p []byte) ([]byte, error) {
	before := len(s.line)
	s.line = append(s.line, p...)
	end := bytes.Index(s.line, []byte("\r\n\r\n"))
	if end < 0 {
		if len(s.line) > maxHead {
			return nil, errors.New("the head of the answer does not end")
		}
		return nil, nil
	}
	head := string(s.line[:end])
	s.line = nil // the head's buffer is too large to keep for lines
	if len(head) < 12 || head[:9] != "HTTP/1.1 " || head[9:12] != "200" {
		return nil, &refusedError{head}
	}
	fields := strings.ToLower(head)
	s.chunked = strings.Contains(fields, "\r\ntransfer-encoding: chunked")
	if s.gzip {
		if !strings.Contains(fields, "\r\ncontent-encoding: gzip") {
			return nil, errors.New("the server does not compress")
		}
		s.gunzip = newGunzip()
	}
	s.state = inBody
	if s.chunked {
		s.beginChunk()
	}
	return p[end+4-before:], nil
}

func (s *stream) beginChunk() {
	s.state, s.left = inChunkSize, 0
}

// frame reads one byte of what is around the data of chunks (RFC 9112, section 7.1).
func (s *stream) frame(c byte) error {
	switch {
	case s.state == afterChunk:
		if c == '\n' {
			s.beginChunk()
		} else if c != '\r' {
			return fmt.Errorf("%q after a chunk", c)
		}
	case c == '\n':
		if s.state = inChunk; s.left == 0 {
			s.state = ended
		}
	case s.state == inChunkExt:
	default:
		return s.chunkSize(c)
	}
	return nil
}

func (s *stream) chunkSize(c byte) error {
	d := hexDigit(c)
	switch {
	case d >= 0:
		if s.left = s.left<<4 | d; s.left > maxChunk {
			return errors.New("a chunk of more than " + strconv.Itoa(maxChunk) + " bytes")
		}
	case c == '\r' || c == ';' || c == ' ':
		s.state = inChunkExt
	default:
		return fmt.Errorf("%q in the size of a chunk", c)
	}
	return nil
}

// decode takes off the compression.
func (s *stream) decode(p []byte, to events) error {
	if s.gunzip == nil {
		return s.readBody(p, to)
	}
	if err := s.gunzip.push(p, func(plain []byte) error { return s.readBody(plain, to) }); err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	return nil
}

// close lets go of what the stream holds besides memory.
func (s *stream) close() {
	if s.gunzip != nil {
		s.gunzip.stop()
	}
}

// readBody splits the stream into lines.
func (s *stream) readBody(p []byte, to events) error {
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if s.line = append(s.line, p...); len(s.line) > maxLine {
				return errors.New("a line of more than " + strconv.Itoa(maxLine) + " bytes")
			}
			return nil
		}
		line := p[:end]
		if len(s.line) > 0 {
			line = append(s.line, line...)
			s.line = line[:0]
		}
		s.readLine(bytes.TrimSuffix(line, []byte("\r")), to)
		p = p[end+1:]
	}
}

var (
	dataField = []byte("data: ")
	idField   = []byte("id: ")
	gapEvent  = []byte("event: ringcast.gap")
)

func (s *stream) readLine(line []byte, to events) {
	switch {
	case len(line) == 0:
		s.dispatch(to)
	case bytes.HasPrefix(line, dataField):
		s.data = true
		s.stamp, s.stamped = parseStamp(line[len(dataField):])
	case bytes.HasPrefix(line, idField):
		s.ided = true
		if s.keepID {
			s.lastID = append(s.lastID[:0], line[len(idField):]...)
		}
	case bytes.Equal(line, gapEvent):
		s.gap = true
	}
}

// dispatch ends a block. One without data is a bookmark or a comment.
func (s *stream) dispatch(to events) {
	switch {
	case s.gap:
		to.gap()
	case s.stamped:
		to.event(s.stamp)
	case s.data:
		to.other()
	}
	s.gap, s.stamped, s.data = false, false, false
}

// leadingNumber returns the decimal number that an id begins with.
func leadingNumber(id []byte) (n uint64) {
	for _, c := range id {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// open reports whether the head of a good answer has come.
func (s *stream) open() bool { return s.state != inHead }
