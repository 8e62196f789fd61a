package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringcast/transport/sse"
)

// With a certificate the gateway speaks HTTPS, and HTTP/2 to those who can.
func TestServe_TLS(t *testing.T) {
	cert, key, roots := certificateFiles(t)
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
	cert, key, _ := certificateFiles(t)
	p := launch(t, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "-1", "--data-dir", t.TempDir(), "--tls-cert", key, "--tls-key", cert)
	if status := p.end(t); status != exitError || !strings.Contains(p.stderr.String(), "ringcast: start gateway: load tls-cert and tls-key: ") {
		t.Errorf("ended with %d: %s", status, p.stderr)
	}
}

// certificateFiles writes net/http's own certificate for tests, which is for 127.0.0.1, and
// its key, and returns their files and what trusts it.
func certificateFiles(t *testing.T) (cert, key string, roots *x509.CertPool) {
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

// A renewed certificate is served to who connects from then on; one that cannot be
// used is not.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	install := func(from string, key string) {
		for to, from := range map[string]string{certFile: from, keyFile: key} {
			if err := os.WriteFile(to+".new", []byte(read(t, from)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(to+".new", to); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, firstKey := selfSigned(t, "first")
	second, secondKey := selfSigned(t, "second")
	install(first, firstKey)
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.follow(ctx, time.Millisecond, slog.New(slog.NewTextHandler(log, nil))) }()
	defer func() { cancel(); <-done }()

	served := func() string {
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.Subject.CommonName
	}
	install(second, firstKey)
	log.awaitLine(t, "the certificate stays as it is")
	if got := served(); got != "first" {
		t.Errorf("with a key of another's: %s", got)
	}
	install(second, secondKey)
	log.awaitLine(t, "the certificate has been exchanged")
	if got := served(); got != "second" {
		t.Errorf("after the exchange: %s", got)
	}
}

// selfSigned writes a certificate for the name, and its key.
func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) []string {
		return []string{string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))}
	}
	return keep(t, name+".pem", encode("CERTIFICATE", der)), keep(t, name+".key", encode("PRIVATE KEY", pkcs8))
}
