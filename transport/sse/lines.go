package sse

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// maxEmptyReads is how often in a row a reader may return neither bytes nor an
// error.
const maxEmptyReads = 100

// maxKeptLine is the largest line buffer that is kept for the next line: one huge
// event shall not hold its memory for as long as the stream goes on.
const maxKeptLine = 1 << 20

var byteOrderMark = []byte("\uFEFF")

// readLine returns the next line without its end: LF, CRLF or CR. It returns on
// a CR at once, for the byte after it may be long in coming. The line is valid
// until the next call.
func (d *Decoder) readLine() ([]byte, error) {
	if cap(d.line) > maxKeptLine {
		d.line = nil
	}
	d.line = d.line[:0]
	for {
		d.skipPairedLF()
		end := d.lineEnd()
		part := end
		if end < 0 {
			part = len(d.unread)
		}
		if len(d.line)+part > d.maxSize {
			return nil, d.tooLarge()
		}
		if end >= 0 {
			return d.takeLine(end), nil
		}
		d.line = append(d.line, d.unread...)
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// skipPairedLF drops the LF of a CRLF whose CR has ended the line before.
func (d *Decoder) skipPairedLF() {
	if !d.skipLF || len(d.unread) == 0 {
		return
	}
	d.skipLF = false
	if d.unread[0] == '\n' {
		d.unread = d.unread[1:]
	}
}

// lineEnd returns the index of the first line end in unread, or -1. Without a CR
// in the buffer it looks for LF by vector instructions; with one it must look at
// each byte, or a stream of many CR and no LF would be searched to the end for
// every line.
func (d *Decoder) lineEnd() int {
	if d.hasCR {
		return bytes.IndexAny(d.unread, "\r\n")
	}
	return bytes.IndexByte(d.unread, '\n')
}

// takeLine returns the line that ends at unread[end].
func (d *Decoder) takeLine(end int) []byte {
	line := d.unread[:end]
	d.skipLF = d.unread[end] == '\r'
	d.unread = d.unread[end+1:]
	if len(d.line) > 0 {
		d.line = append(d.line, line...)
		line = d.line
	}
	if !d.inBody {
		d.inBody = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	return line
}

// fill reads once more into the empty buffer.
func (d *Decoder) fill() error {
	d.unread = nil
	for range maxEmptyReads {
		if d.err != nil {
			return d.err
		}
		var n int
		n, d.err = d.r.Read(d.buf)
		if n > 0 {
			d.unread = d.buf[:n]
			d.hasCR = bytes.IndexByte(d.unread, '\r') >= 0
			return nil
		}
	}
	if d.err == nil {
		d.err = io.ErrNoProgress
	}
	return d.err
}

// decodeUTF8 returns b with each ill-formed part replaced by U+FFFD as the
// Encoding standard replaces them: one for the longest prefix of a character
// (https://www.unicode.org/versions/latest/core-spec/chapter-3/#G66453), where
// Go's own functions replace each byte or each run of them. Line ends, colons and
// spaces are ASCII and part of no longer character, so decoding the fields one by
// one is the same as decoding the stream.
func decodeUTF8(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	decoded := make([]byte, 0, len(b)+2*utf8.UTFMax)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = illFormedPrefix(b)
		}
		decoded = utf8.AppendRune(decoded, r)
		b = b[size:]
	}
	return decoded
}

// illFormedPrefix returns the length of the longest start of b that could have
// become a character, and 1 where there is none.
func illFormedPrefix(b []byte) int {
	n := 1
	for n < len(b) && !utf8.FullRune(b[:n+1]) {
		n++
	}
	return n
}
