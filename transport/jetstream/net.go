package jetstream

import (
	"errors"
	"io"
	"net"
)

// isNetError reports whether err comes from the network: a refused or reset
// connection, a name that does not resolve, a timeout.
func isNetError(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr)
}

// isEOF reports whether the peer hung up, as a server does that is stopping.
func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
