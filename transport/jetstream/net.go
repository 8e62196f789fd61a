package jetstream

import (
	"errors"
	"io"
	"net"
)

// isNetError reports whether err comes from the network: a refused or reset
// connection, a name that does not resolve, a timeout. The interface net.Error
// does not tell: the errors of a URL that does not parse and of a file that is
// missing have its methods too.
func isNetError(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns)
}

// isEOF reports whether the peer hung up, as a server does that is stopping.
func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
