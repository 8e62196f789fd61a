//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// quietTimeout is how long a stream may be quiet before HAProxy cuts it: five
// heartbeats.
const quietTimeout = "10s"

// startHAProxy starts it with the file that operators are given, but for addresses,
// TLS, the times after which a quiet stream is cut, and buffers that are small enough
// for a client that does not read to be felt at the gateway.
func (r *rig) startHAProxy(ctx context.Context) error {
	program, err := findHAProxy()
	if err != nil {
		return err
	}
	if r.frontend, err = freeAddress(); err != nil {
		return err
	}
	file := filepath.Join(r.dir, "haproxy.cfg")
	text, err := r.haproxyConfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	r.haproxy = newProcess(r.dir, "haproxy", r.fail, program, "-db", "-f", file)
	if err := r.haproxy.start(); err != nil {
		return err
	}
	if err := awaitListener(ctx, r.frontend); err != nil {
		return fmt.Errorf("start HAProxy: %w; it wrote %q", err, r.haproxy.lastLines(10))
	}
	return nil
}

// serverLine is one of those that the file has for a gateway, with how it is checked.
var serverLine = regexp.MustCompile(`(?m)^ *server a(\S*) 127\.0\.0\.1:8080 (.*)\n`)

func (r *rig) haproxyConfig() (string, error) {
	content, err := os.ReadFile(r.opt.HAProxyConfig)
	if err != nil {
		return "", err
	}
	text := string(content)
	if !serverLine.MatchString(text) {
		return "", fmt.Errorf("%s does not have a server", r.opt.HAProxyConfig)
	}
	text = serverLine.ReplaceAllStringFunc(text, func(line string) string {
		server := serverLine.FindStringSubmatch(line)
		lines := ""
		for i, k := range r.backends {
			lines += fmt.Sprintf("    server gateway-%d%s %s %s\n", i, server[1], r.address(k), server[2])
		}
		return lines
	})
	for _, edit := range []struct{ from, to string }{
		{"    user haproxy\n    group haproxy\n", ""}, // which only root can become
		{"log /dev/log local0", "log stdout format raw local0"},
		{"maxconn 20000", fmt.Sprintf("maxconn %d", r.opt.connections()) + "\n    tune.rcvbuf.server 65536\n    tune.sndbuf.client 65536"},
		{"bind :443 ssl crt /etc/ringcast/tls/both.pem alpn h2,http/1.1", "bind " + r.frontend},
		{"timeout client 60s", "timeout client " + quietTimeout},
		{"timeout server 60s", "timeout server " + quietTimeout},
	} {
		if !strings.Contains(text, edit.from) {
			return "", fmt.Errorf("%s does not have %q", r.opt.HAProxyConfig, edit.from)
		}
		text = strings.ReplaceAll(text, edit.from, edit.to)
	}
	return text, nil
}

// findHAProxy looks also where Debian keeps programs of administrators.
func findHAProxy() (string, error) {
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("haproxy is missing: `make tools` installs it")
}
