package bench

import (
	"compress/gzip"
	"errors"
	"io"
	"iter"
)

// gunzip decompresses what it is pushed. The library wants to pull: it runs as a
// coroutine, which gives control back whenever it has read all there is.
type gunzip struct {
	next func() (plain []byte, more bool)
	// stop ends the coroutine.
	stop func()
	in   []byte // what is not decompressed yet
	err  error  // why the coroutine has ended; nil after the last byte
}

// gunzipBuffer is how much is decompressed at a time.
const gunzipBuffer = 4 << 10

func newGunzip() *gunzip {
	g := new(gunzip)
	g.next, g.stop = iter.Pull(g.run)
	return g
}

// push hands on what p brings. It keeps nothing of it.
func (g *gunzip) push(p []byte, to func([]byte) error) error {
	g.in = p
	for {
		plain, more := g.next()
		switch {
		case !more && g.err == nil && len(g.in) > 0:
			return errEnded
		case !more:
			return g.err
		case len(plain) == 0:
			return nil // all of p is read
		}
		if err := to(plain); err != nil {
			return err
		}
	}
}

// run yields what was decompressed, and nothing when it needs more.
func (g *gunzip) run(yield func([]byte) bool) {
	source := pulled{g, yield}
	r, err := gzip.NewReader(source)
	if err != nil {
		g.err = err
		return
	}
	buffer := make([]byte, gunzipBuffer)
	for {
		n, err := r.Read(buffer)
		if n > 0 && !yield(buffer[:n]) {
			return
		}
		if err != nil {
			if err != io.EOF {
				g.err = err
			}
			return
		}
	}
}

// pulled is the reader of a gunzip's input.
type pulled struct {
	*gunzip
	yield func([]byte) bool
}

var errStopped = errors.New("the decompression was stopped")

// ReadByte implements io.ByteReader: with it the library reads no further than it
// has to, and keeps no buffer of its own.
func (p pulled) ReadByte() (byte, error) {
	for len(p.in) == 0 {
		if !p.yield(nil) {
			return 0, errStopped
		}
	}
	b := p.in[0]
	p.in = p.in[1:]
	return b, nil
}

// Read implements io.Reader.
func (p pulled) Read(dst []byte) (int, error) {
	for len(p.in) == 0 {
		if !p.yield(nil) {
			return 0, errStopped
		}
	}
	n := copy(dst, p.in)
	p.in = p.in[n:]
	return n, nil
}
