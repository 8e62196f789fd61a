package proxies_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// certificate is a certificate for host that trusts itself, and its key, as PEM.
type certificate struct{ cert, key []byte }

// identity is the certificate of all proxies here.
var identity = sync.OnceValue(func() certificate {
	c, err := newCertificate()
	if err != nil {
		panic(err)
	}
	return c
})

func newCertificate() (certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return certificate{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return certificate{}, err
	}
	return certificate{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// roots trust the certificate.
func (c certificate) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.cert)
	return pool
}

// write writes the files that the configurations name.
func (c certificate) write(t *testing.T, dir string) {
	t.Helper()
	for name, content := range map[string][]byte{
		"cert.pem": c.cert,
		"key.pem":  c.key,
		"both.pem": append(append([]byte{}, c.cert...), c.key...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
