//go:build unix

package gateway

import (
	"errors"
	"net/http"
	"syscall"
)

// canTakeOver reports whether the connection of a request can be written to as it
// is: HTTP/1.1, whose bodies come in chunks, without TLS.
func canTakeOver(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.TLS == nil
}

// rawWriter writes to connections without waiting for any. It belongs to one
// goroutine.
type rawWriter struct {
	// write is the argument of RawConn.Write, made once: a closure for each call
	// would be garbage for each delivery. The rest is its argument and results.
	write func(fd uintptr) bool
	b     []byte
	n     int
	err   error
}

func newRawWriter() *rawWriter {
	w := &rawWriter{}
	w.write = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.b)
			if w.err != syscall.EINTR {
				return true // it is not to be tried again when the client has read
			}
		}
	}
	return w
}

// writeNow writes as much of b as the connection takes at once and returns what it
// has left.
func (w *rawWriter) writeNow(conn syscall.RawConn, b []byte) (rest []byte, err error) {
	w.b = b
	err = conn.Write(w.write)
	w.b = nil
	switch {
	case err != nil: // closed
		return b, err
	case errors.Is(w.err, syscall.EAGAIN):
		return b, nil
	case w.err != nil:
		return b, w.err
	}
	return b[w.n:], nil
}
