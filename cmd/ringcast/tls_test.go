package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringcast/transport/sse"
)

// With a certificate the gateway speaks HTTPS, and HTTP/2 to those who can.
func TestServe_TLS(t *testing.T) {
	cert, key, roots := certificate(t)
	_, ready := serve(t, "--data-dir", t.TempDir(), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(ready.URL, "https://") {
		t.Fatalf("it says that it is at %s", ready.URL)
	}
	for _, tc := range []struct {
		proto int
		h2    bool
	}{{1, false}, {2, true}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: tc.h2}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		res, err := client.Get(ready.URL + "v1/stream?subject=events.x&from=oldest")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != tc.proto {
			t.Errorf("%s over %s", res.Status, res.Proto)
		}
		if tc.proto == 1 {
			answer, err := client.Post(ready.URL+"v1/publish/events.x", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
		}
		if m, err := sse.NewDecoder(res.Body).Next(); err != nil || string(m.Data) != "hello" {
			t.Errorf("got %+v, %v", m, err)
		}
	}
}

func TestServe_TLSErrors(t *testing.T) {
	cert, key, _ := certificate(t)
	p := launch(t, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "-1", "--data-dir", t.TempDir(), "--tls-cert", key, "--tls-key", cert)
	if status := p.end(t); status != exitError || !strings.Contains(p.stderr.String(), "ringcast: start gateway: load tls-cert and tls-key: ") {
		t.Errorf("ended with %d: %s", status, p.stderr)
	}
}

// certificate writes net/http's own certificate for tests, which is for 127.0.0.1, and
// its key, and returns their files and what trusts it.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return write("cert.pem", "CERTIFICATE", s.Certificate().Raw), write("key.pem", "PRIVATE KEY", pkcs8), roots
}
