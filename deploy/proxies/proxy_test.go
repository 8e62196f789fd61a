package proxies_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	// quiet shortens the time that a stream may be quiet to 3 s; nil where there is none.
	quiet []edit
	// away has it not wait for a gateway that is not there; nil where it does not anyway.
	away []edit
	// leave is the signal at which it lets requests end, and grace shortens the time that it
	// lets them.
	leave syscall.Signal
	grace edit
	// h2c has it speak HTTP/2 to the gateway; empty where it cannot.
	h2c edit
	// endsCleanly reports that a version of it makes a clean end of a cut, towards a client
	// of that protocol.
	endsCleanly func(protocol string) bool
	// needsHeartbeat reports that it notices only when it writes that a client has left.
	needsHeartbeat bool
}

// edit replaces a text wherever a file has it, which it has to.
type edit struct{ from, to string }

// place is where a proxy stands in a test.
type place struct {
	dir     string // for what it writes, its configuration and the certificate
	port    string // at which it listens
	gateway string // the address of its gateway
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
				{"127.0.0.1:8080", p.gateway},
				{"/etc/ringcast/tls", p.dir},
				{"/run/nginx.pid", p.dir + "/nginx.pid"},
				{"/var/log/nginx", p.dir},
				{"http {", "http {" + temporary}, // which only root can have where they are
			}
		},
		command: func(p place) *exec.Cmd {
			return exec.Command(installed("nginx"), "-c", p.config("nginx.conf"), "-e", "stderr", "-g", "daemon off;")
		},
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
				{"127.0.0.1:8080", p.gateway},
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
		quiet:          []edit{{"timeout client 60s", "timeout client 3s"}, {"timeout server 60s", "timeout server 3s"}},
		away:           []edit{{"retries 10", "retries 0"}},
		leave:          syscall.SIGUSR1,
		grace:          edit{"hard-stop-after 10s", "hard-stop-after 1s"},
		h2c:            edit{" check inter", " proto h2 check inter"},
		needsHeartbeat: true,
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
			return []edit{
				{"grace_period", options + "grace_period"},
				{"127.0.0.1:8080", p.gateway},
				{"/etc/ringcast/tls", p.dir},
			}
		},
		command: func(p place) *exec.Cmd {
			cmd := exec.Command(installed("caddy"), "run", "--adapter", "caddyfile", "--config", p.config("Caddyfile"))
			cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
			return cmd
		},
		away:  []edit{{"lb_try_duration 30s", "lb_try_duration 0s"}},
		leave: syscall.SIGTERM,
		grace: edit{"grace_period 10s", "grace_period 1s"},
		h2c:   edit{"reverse_proxy ", "reverse_proxy h2c://"},
		// Before 2.7.6, https://github.com/caddyserver/caddy/issues/5951
		endsCleanly: func(string) bool { return true },
	}
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

// start starts the proxy in front of a gateway and returns it and its address. A free port
// may be taken by the time that the proxy listens at it: then it gets another.
func (w way) start(t *testing.T, gateway string, edits ...edit) (*process, string) {
	t.Helper()
	if w.h2c {
		edits = append([]edit{w.proxy.h2c}, edits...)
	}
	for range 5 {
		at := place{dir: t.TempDir(), port: freePort(t), gateway: gateway}
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
