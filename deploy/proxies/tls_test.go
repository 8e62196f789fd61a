package proxies_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startTLS starts a gateway that serves HTTPS itself, and returns the file that its
// certificate is checked against.
func startTLS(t *testing.T) (g *gateway, ca string) {
	t.Helper()
	dir := t.TempDir()
	identity().write(t, dir)
	ca = filepath.Join(dir, "cert.pem")
	return startGateway(t, "--tls-cert", ca, "--tls-key", filepath.Join(dir, "key.pem")), ca
}

// By TLS 1.2 and 1.3, and by nothing older, whatever the client would take.
func TestTLS_Versions(t *testing.T) {
	t.Parallel()
	g, ca := startTLS(t)
	for version, want := range map[string]string{
		"-tls1_3": "New, TLSv1.3,",
		"-tls1_2": "New, TLSv1.2,",
		"-tls1_1": "alert protocol version",
		"-tls1":   "alert protocol version",
	} {
		t.Run(version, func(t *testing.T) {
			cmd := exec.Command("openssl", "s_client", "-connect", g.address, "-servername", host, "-verify_hostname", host,
				"-CAfile", ca, "-verify_return_error", "-cipher", "DEFAULT:@SECLEVEL=0", version)
			out, err := cmd.CombinedOutput() // it ends with its standard input, which is empty
			if good := strings.HasPrefix(want, "New"); (err == nil) != good || !strings.Contains(string(out), want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// curl reads a stream over HTTP/1.1 and HTTP/2, with TLS and without.
func TestTLS_Curl(t *testing.T) {
	t.Parallel()
	secure, ca := startTLS(t)
	plain := startGateway(t)
	for _, tc := range []struct {
		gateway       *gateway
		scheme, flag  string
		version, name string
	}{
		{secure, "https", "--http1.1", "1.1", "one"},
		{secure, "https", "--http2", "2", "two"},
		{plain, "http", "--http1.1", "1.1", "one"},
		{plain, "http", "--http2-prior-knowledge", "2", "two"},
	} {
		t.Run(tc.scheme+" "+tc.flag, func(t *testing.T) {
			address, port, err := net.SplitHostPort(tc.gateway.address)
			if err != nil {
				t.Fatal(err)
			}
			base := tc.scheme + "://" + host + ":" + port
			curl := func(args ...string) *process {
				return run(t, exec.Command("curl", append([]string{
					"--silent", "--show-error", "--fail", "--no-buffer", "--cacert", ca, tc.flag,
					"--resolve", host + ":" + port + ":" + address, "--max-time", "60",
				}, args...)...))
			}
			s := curl("--write-out", "version %{http_version}\n", base+"/v1/stream?subject=events."+tc.name)
			s.awaitLine("id: ")
			curl("--data", "hello", base+"/v1/publish/events."+tc.name).awaitEnd()
			s.awaitLine("data: hello")
			curl("--data", "bye", "--header", "Ringcast-End: true", base+"/v1/publish/events."+tc.name).awaitEnd()
			s.awaitEnd()
			if text := s.log.text(); !strings.HasSuffix(text, "version "+tc.version+"\n") {
				t.Errorf("it prints %s", text)
			}
		})
	}
}

// awaitEnd waits for the end of a program by itself, which is to be good.
func (p *process) awaitEnd() {
	p.t.Helper()
	p.awaitDone()
	if p.err != nil {
		p.t.Fatalf("%s: %v: %s", p.cmd.Path, p.err, p.log.text())
	}
}
