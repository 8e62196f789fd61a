package gateway

import "strconv"

// chunkHead is room for a chunk's size, of up to 4 GiB, and its line end.
const chunkHead = len("ffffffff\r\n")

// lastChunk ends a body cleanly.
const lastChunk = "0\r\n\r\n"

// appendChunk appends a chunk of HTTP/1.1 (RFC 9112, section 7.1) whose content is
// what fill appends to its argument: nothing, where that is nothing.
func appendChunk(b []byte, fill func([]byte) []byte) []byte {
	start := len(b)
	b = fill(append(b, make([]byte, chunkHead)...))
	size := len(b) - start - chunkHead
	if size == 0 {
		return b[:start]
	}
	// The size is known only now and has as many digits as it has: what follows
	// moves up to it, by a few bytes.
	head := strconv.AppendInt(b[start:start], int64(size), 16)
	head = append(head, "\r\n"...)
	n := start + len(head)
	n += copy(b[n:], b[start+chunkHead:])
	return append(b[:n], "\r\n"...)
}
