package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificatePeriod is how often the files of the certificate are looked at. Those
// who renew it do so weeks before it expires.
const certificatePeriod = 10 * time.Second

// certificate is a certificate and its key in two files, which may be exchanged while
// the server runs. The files are read and compared rather than watched: what Kubernetes
// mounts from a secret is exchanged by way of a symbolic link.
type certificate struct {
	certFile, keyFile string

	read    []byte // the contents of both, as last read
	current atomic.Pointer[tls.Certificate]
}

// load reads the files and takes the certificate over when they have changed. What
// cannot be used leaves the one before.
func (c *certificate) load() error {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return err
	}
	both := append(append(bytes.Clone(cert), 0), key...)
	if bytes.Equal(both, c.read) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	c.read = both
	c.current.Store(&pair)
	return nil
}

// get is for tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// follow looks at the files every so often until ctx is done.
func (c *certificate) follow(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := c.current.Load()
		switch err := c.load(); {
		case err == nil && c.current.Load() != before:
			log.Info("the certificate has been exchanged", "expires", c.current.Load().Leaf.NotAfter)
			said = ""
		case err != nil && said != err.Error(): // once for each reason
			said = err.Error()
			log.Error("the certificate stays as it is", "err", fmt.Errorf("load tls-cert and tls-key: %w", err))
		}
	}
}
