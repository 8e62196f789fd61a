package proxies_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// host is the name in the configuration files.
const host = "events.example.com"

// hostAddress is where the proxies listen: beside what other programs of this machine
// take free ports of.
const hostAddress = "127.0.0.3"

// proxy is a kind of proxy, as one of the files configures it.
type proxy struct {
	name string
	file string
	// edits are what the file differs in where it stands in a test.
	edits func(place) []edit
	// command runs it in the foreground.
	command func(place) *exec.Cmd
	// gateways puts these in the place of the one that the file has.
	gateways func(file string, addresses []string) string
	// quiet shortens the time that a stream may be quiet to 3 s; nil where there is none.
	quiet []edit
	// away has it not wait for a gateway that is not there; nil where it does not anyway.
	away []edit
	// remember has it leave a gateway alone that refused, for as long as a test may take; nil
	// where it looks whether that is there again.
	remember []edit
	// patient has it wait for as long as a test may take; nil where it does not.
	patient []edit
	// down is what it writes of a gateway that it has found to be down, by its number; empty
	// where it does not look.
	down string
	// leave is the signal at which it lets requests end, and grace shortens the time that it
	// lets them.
	leave syscall.Signal
	grace edit
	// h2c has it speak HTTP/2 to the gateway; empty where it cannot.
	h2c edit
	// endsCleanly reports that a version of it makes a clean end of a cut, towards a client
	// of that protocol.
	endsCleanly func(protocol string) bool
	// refuses reports that to a client of that protocol it says nothing of a gateway which is
	// gone before it has answered, but that the stream was refused; nil where it never does.
	refuses func(protocol string) bool
	// losesBody reports that a version of it does not try a request with a body again at the
	// next gateway.
	losesBody bool
	// needsHeartbeat reports that it notices only when it writes that a client has left.
	needsHeartbeat bool
}

// edit replaces a text wherever a file has it, which it has to.
type edit struct{ from, to string }

// place is where a proxy stands in a test.
type place struct {
	dir      string   // for what it writes, its configuration and the certificate
	port     string   // at which it listens
	gateways []string // their addresses
}

func (p place) config(name string) string { return filepath.Join(p.dir, name) }

func nginx() proxy {
	return proxy{
		name: "nginx",
		file: "nginx.conf",
		edits: func(p place) []edit {
			temporary := ""
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				temporary += kind + "_temp_path " + p.dir + "/" + kind + ";"
			}
			return []edit{
				{"listen 443 ", "listen " + hostAddress + ":" + p.port + " "},
				{"/etc/ringcast/tls", p.dir},
				{"/run/nginx.pid", p.dir + "/nginx.pid"},
				{"/var/log/nginx", p.dir},
				{"http {", "http {" + temporary}, // which only root can have where they are
			}
		},
		command: func(p place) *exec.Cmd {
			return exec.Command(installed("nginx"), "-c", p.config("nginx.conf"), "-e", "stderr", "-g", "daemon off;")
		},
		gateways:    lineForEach,
		quiet:       []edit{{"proxy_read_timeout 60s", "proxy_read_timeout 3s"}},
		leave:       syscall.SIGQUIT,
		grace:       edit{"worker_shutdown_timeout 10s", "worker_shutdown_timeout 1s"},
		endsCleanly: func(string) bool { return false },
	}
}

func haproxy() proxy {
	return proxy{
		name: "haproxy",
		file: "haproxy.cfg",
		edits: func(p place) []edit {
			edits := []edit{
				{"bind :443", "bind " + hostAddress + ":" + p.port},
				{"/etc/ringcast/tls", p.dir},
				{"maxconn 20000", "maxconn 1000"}, // more than may be open here, it does not start with
			}
			if os.Geteuid() != 0 { // who is not root cannot become another user
				edits = append(edits, edit{"    user haproxy\n    group haproxy\n", ""})
			}
			return edits
		},
		command: func(p place) *exec.Cmd {
			return exec.Command(installed("haproxy"), "-db", "-f", p.config("haproxy.cfg"))
		},
		gateways:       lineForEach,
		quiet:          []edit{{"timeout client 60s", "timeout client 3s"}, {"timeout server 60s", "timeout server 3s"}},
		away:           []edit{{"retries 10", "retries 0"}},
		patient:        []edit{{"retries 10", "retries 60"}},
		down:           "Server ringcast/a%d is DOWN",
		leave:          syscall.SIGUSR1,
		grace:          edit{"hard-stop-after 10s", "hard-stop-after 1s"},
		h2c:            edit{" 127.0.0.1:8080", " 127.0.0.1:8080 proto h2"},
		needsHeartbeat: true,
		refuses:        func(protocol string) bool { return protocol == "HTTP/2.0" },
		// Seen with 2.6.
		endsCleanly: func(protocol string) bool { return protocol == "HTTP/2.0" },
	}
}

func caddy() proxy {
	return proxy{
		name: "caddy",
		file: "Caddyfile",
		edits: func(p place) []edit {
			options := "admin off\nauto_https disable_redirects\ndefault_bind " + hostAddress + "\nhttps_port " + p.port + "\n"
			edits := []edit{
				{"grace_period", options + "grace_period"},
				{"/etc/ringcast/tls", p.dir},
			}
			if hasNoFullDuplex() {
				edits = append(edits,
					edit{"\t\tenable_full_duplex\n", ""},
					edit{"\t\tlb_try_interval", "\t\tbuffer_requests\n\t\tlb_try_interval"},
					edit{"\treverse_proxy ", "\trequest_body {\n\t\tmax_size 2MB\n\t}\n\treverse_proxy "},
				)
			}
			return edits
		},
		command: func(p place) *exec.Cmd {
			cmd := exec.Command(installed("caddy"), "run", "--adapter", "caddyfile", "--config", p.config("Caddyfile"))
			cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
			return cmd
		},
		gateways: func(file string, addresses []string) string {
			return upstream.ReplaceAllStringFunc(file, func(one string) string {
				scheme, _, _ := strings.Cut(one, gatewayAddress)
				return scheme + strings.Join(addresses, " "+scheme) + " {"
			})
		},
		away:     []edit{{"lb_try_duration 30s", "lb_try_duration 0s"}},
		remember: []edit{{"fail_duration 2s", "fail_duration 60s"}},
		leave:    syscall.SIGTERM,
		grace:    edit{"grace_period 10s", "grace_period 1s"},
		h2c:      edit{"reverse_proxy ", "reverse_proxy h2c://"},
		// Up to 2.11.1, https://github.com/caddyserver/caddy/issues/7546
		losesBody: true,
		// Before 2.7.6, https://github.com/caddyserver/caddy/issues/5951
		endsCleanly: func(string) bool { return true },
	}
}

// hasNoFullDuplex reports that the installed Caddy is a 2.6, as Debian's is.
var hasNoFullDuplex = sync.OnceValue(func() bool {
	version, err := exec.Command(installed("caddy"), "version").Output()
	if err != nil {
		panic(fmt.Sprintf("ask Caddy for its version: %v", err))
	}
	return strings.HasPrefix(strings.TrimPrefix(string(version), "v"), "2.6.")
})

// gatewayAddress is the one in the files.
const gatewayAddress = "127.0.0.1:8080"

// upstream is it where Caddy is told of it, with how to speak to it.
var upstream = regexp.MustCompile(`(?m)(?:h2c://)?` + regexp.QuoteMeta(gatewayAddress) + " {$")

// lineForEach has the lines of the one gateway, which HAProxy calls a, for each of these.
func lineForEach(file string, addresses []string) string {
	var b strings.Builder
	for line := range strings.Lines(file) {
		if !strings.Contains(line, gatewayAddress) {
			b.WriteString(line)
			continue
		}
		for i, address := range addresses {
			one := strings.Replace(line, "server a", fmt.Sprintf("server a%d", i), 1)
			b.WriteString(strings.Replace(one, gatewayAddress, address, 1))
		}
	}
	return b.String()
}

// way is a way from a client to a gateway.
type way struct {
	proxy
	h2c bool // from the proxy to the gateway
}

// ways are through each proxy over HTTP/1.1, and over HTTP/2 where it can.
func ways() []way {
	var all []way
	for _, p := range []proxy{nginx(), haproxy(), caddy()} {
		all = append(all, way{p, false})
		if p.h2c != (edit{}) {
			all = append(all, way{p, true})
		}
	}
	return all
}

func (w way) String() string {
	if w.h2c {
		return w.name + " h2c"
	}
	return w.name
}

// start starts the proxy in front of gateways and returns it and its address. A free port
// may be taken by the time that the proxy listens at it: then it gets another.
func (w way) start(t *testing.T, gateways []string, edits ...edit) (*process, string) {
	t.Helper()
	if w.h2c {
		edits = append([]edit{w.proxy.h2c}, edits...)
	}
	for range 5 {
		at := place{dir: t.TempDir(), port: freePort(t), gateways: gateways}
		identity().write(t, at.dir)
		w.configure(t, at, edits)
		p := run(t, w.command(at))
		address := net.JoinHostPort(hostAddress, at.port)
		if p.listens(address) {
			return p, address
		}
		t.Logf("%s ended with %v: %s", w, p.err, p.log.text())
	}
	t.Fatalf("%s does not start", w)
	return nil, ""
}

// configure writes the file as it is to be here.
func (w way) configure(t *testing.T, at place, edits []edit) {
	t.Helper()
	content, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, e := range append(edits, w.edits(at)...) {
		if !strings.Contains(text, e.from) {
			t.Fatalf("%s does not have %q", w.file, e.from)
		}
		text = strings.ReplaceAll(text, e.from, e.to)
	}
	text = w.gateways(text, at.gateways)
	if err := os.WriteFile(at.config(w.file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listens waits until the process listens at the address, or has ended.
func (p *process) listens(address string) bool {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-p.done:
			return false
		case <-time.After(10 * time.Millisecond): // to look again; it does not say
		}
	}
	p.t.Fatalf("%s does not listen at %s: %s", p.cmd.Path, address, p.log.text())
	return false
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", hostAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// installed finds a program, also where Debian keeps those of administrators.
func installed(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}
