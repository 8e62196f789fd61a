package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// composeEnv has TestCompose_Runs make its network; without it the test starts itself
// again, in namespaces of its own.
const composeEnv = "RINGCAST_TEST_COMPOSE"

// The services of the compose file run together as it says: each a process with the file's
// command, on a network of its own where the others have their names, with the volume as
// /data. There is no engine: the images of NATS and Caddy are a server built from Ringcast's
// own dependency, and the distribution's.
//
// While events are published through Caddy, a gateway and a NATS server are killed, and
// those who follow get every event once, in order.
func TestCompose_Runs(t *testing.T) {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "NOT TESTED: the services of the compose file were not run together: that needs root, to make networks")
		t.SkipNow()
	}
	if os.Getenv(composeEnv) == "" {
		enterNetwork(t)
		return
	}
	project := readCompose(t)
	network := makeNetwork(t, project)
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		network.start(name)
	}
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		check := project.Services[name].HealthCheck.Test
		network.await(strings.Replace(check[len(check)-1], "127.0.0.1", network.addresses[name], 1))
	}
	for _, name := range []string{"gateway-1", "gateway-2", "gateway-3"} {
		network.start(name)
		network.await("http://" + network.addresses[name] + ":8080/readyz")
	}
	network.start("caddy")
	front := "http://" + network.addresses["caddy"]
	network.await(front + "/readyz")
	checkTickets(t, network)

	const events = 60
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	followers := make([]*exec.Cmd, 6)
	outputs := make([]strings.Builder, len(followers))
	for i := range followers {
		followers[i] = exec.CommandContext(ctx, ringcast, "sub", "events.>", "--from=oldest", "--format=raw", "--count="+strconv.Itoa(events), "--url="+front)
		followers[i].Stdout = &outputs[i]
		network.run(followers[i])
	}
	var want strings.Builder
	for i := range events {
		switch i {
		case 20:
			network.kill("gateway-2")
		case 40:
			network.kill("nats-1")
		}
		publish(t, front, i)
		fmt.Fprintln(&want, i)
	}
	network.start("gateway-2")
	network.await("http://" + network.addresses["gateway-2"] + ":8080/readyz")
	for i, f := range followers {
		if err := f.Wait(); err != nil || outputs[i].String() != want.String() {
			t.Errorf("follower %d: %v: %q", i, err, outputs[i].String())
		}
	}
	network.stop("gateway-1", "gateway-2", "gateway-3")
}

// enterNetwork runs the test in namespaces of its own, for networks and mounts.
func enterNetwork(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCompose_Runs$", "-test.v")
	cmd.Env = append(os.Environ(), composeEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// network is a bridge, with a network namespace of each service on it.
type network struct {
	t         *testing.T
	project   *types.Project
	addresses map[string]string
	images    map[string]string // what each service has as its root
	running   map[string]*exec.Cmd
}

func makeNetwork(t *testing.T, project *types.Project) *network {
	t.Helper()
	n := &network{t: t, project: project, addresses: map[string]string{}, images: map[string]string{}, running: map[string]*exec.Cmd{}}
	// What is mounted here is nobody else's, and gone with this process.
	if err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("none", "/run", "tmpfs", 0, ""),
	); err != nil {
		t.Fatal(err)
	}
	n.ip("link set lo up")
	n.ip("link add services type bridge")
	n.ip("addr add 10.77.0.1/24 dev services")
	n.ip("link set services up")
	hosts := "127.0.0.1 localhost\n"
	for i, name := range slices.Sorted(maps.Keys(project.Services)) {
		address := fmt.Sprintf("10.77.0.%d", i+2)
		n.ip("netns add " + name)
		n.ip(fmt.Sprintf("link add port%d type veth peer name eth0 netns %s", i, name))
		n.ip(fmt.Sprintf("link set port%d master services up", i))
		n.ip("-n " + name + " addr add " + address + "/24 dev eth0")
		n.ip("-n " + name + " link set eth0 up")
		n.ip("-n " + name + " link set lo up")
		n.addresses[name] = address
		hosts += address + " " + name + "\n"
	}
	file := filepath.Join(t.TempDir(), "hosts")
	write(t, file, hosts)
	if err := syscall.Mount(file, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil { // for Caddy
		t.Fatal(err)
	}
	n.makeImages(hosts)
	return n
}

// makeImages makes the root of each service: for a gateway the image's, for NATS one with
// the server alone.
func (n *network) makeImages(hosts string) {
	n.t.Helper()
	gateway := makeImage(n.t)
	server := filepath.Join(n.t.TempDir(), "nats-server")
	cmd := exec.Command("go", "build", "-trimpath", "-o", server, "github.com/nats-io/nats-server/v2")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the gateway is: what they share is compiled once
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	for name, s := range n.project.Services {
		image := n.t.TempDir()
		n.images[name] = image
		if strings.HasPrefix(name, "gateway-") {
			if err := os.CopyFS(image, os.DirFS(gateway)); err != nil {
				n.t.Fatal(err)
			}
		} else {
			copyInto(n.t, server, filepath.Join(image, "nats-server"))
			copyInto(n.t, "data", filepath.Join(image, "data"))
		}
		write(n.t, filepath.Join(image, "etc/hosts"), hosts)
		for _, secret := range s.Secrets {
			write(n.t, filepath.Join(image, "run/secrets", secret.Source), strings.Repeat("k", 64))
		}
	}
}

// start starts a service with the command of the file.
func (n *network) start(name string) {
	n.t.Helper()
	service := n.project.Services[name]
	args := []string(service.Command)
	var cmd *exec.Cmd
	switch {
	case name == "caddy":
		file := filepath.Join(n.t.TempDir(), "Caddyfile")
		// Debian's Caddy is a 2.6, which does not have this.
		config := strings.Replace(n.project.Configs[service.Configs[0].Source].Content, "enable_full_duplex\n", "\n", 1)
		write(n.t, file, config)
		cmd = exec.Command("caddy", "run", "--adapter=caddyfile", "--config="+file)
		cmd.Env = append(os.Environ(), "HOME="+n.t.TempDir(), "XDG_DATA_HOME="+n.t.TempDir(), "XDG_CONFIG_HOME="+n.t.TempDir())
	case strings.HasPrefix(name, "nats-"):
		cmd = inImage(n.t, n.images[name], 65532, 65532, slices.Concat([]string{"/nats-server"}, args))
	default:
		cmd = inImage(n.t, n.images[name], 65532, 65532, slices.Concat([]string{"/ringcast"}, args))
		for key, value := range service.Environment {
			cmd.Env = append(cmd.Env, key+"="+*value)
		}
	}
	program := cmd.Path
	if program == "/proc/self/exe" {
		program, _ = os.Executable() // which go test has just run
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Path, cmd.Args = nsenter, slices.Concat([]string{"nsenter", "--net=/run/netns/" + name, program}, cmd.Args[1:])
	log, err := os.OpenFile(filepath.Join(n.images[name], "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	n.run(cmd)
	n.running[name] = cmd
}

// run starts a process that ends with the test.
func (n *network) run(cmd *exec.Cmd) {
	n.t.Helper()
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // fails where it has ended
			_ = cmd.Wait()
		}
	})
}

func (n *network) kill(name string) {
	n.t.Helper()
	if err := n.running[name].Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	_ = n.running[name].Wait() // killed, it says
}

// stop stops services as Compose does, one after the other.
func (n *network) stop(names ...string) {
	n.t.Helper()
	for _, name := range names {
		if err := n.running[name].Process.Signal(syscall.SIGTERM); err != nil {
			n.t.Fatal(err)
		}
		if err := n.running[name].Wait(); err != nil {
			n.t.Errorf("%s: %v", name, err)
		}
	}
}

// await returns when the URL answers 200.
func (n *network) await(url string) {
	n.t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(url) //nolint:gosec // of this test's own
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(res.Body) // for the message alone
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		last = string(body)
	}
	for name, image := range n.images {
		log, _ := os.ReadFile(filepath.Join(image, "log")) // of a service that was not started
		n.t.Logf("%s: %s", name, log)
	}
	n.t.Fatalf("%s: %s", url, last)
}

func (n *network) ip(args string) {
	n.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// checkTickets has one gateway open what another made: they have the key in common.
func checkTickets(t *testing.T, n *network) {
	t.Helper()
	res, err := http.Post("http://"+n.addresses["gateway-1"]+":8080/v1/tickets", "application/json", strings.NewReader(`{"subject":["events.>"]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // of an answer that is looked at below
	_ = res.Body.Close()
	_, rest, _ := strings.Cut(string(body), `"url":"`)
	path, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("tickets: %s", body)
	}
	res, err = http.Get("http://" + n.addresses["gateway-3"] + ":8080" + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a ticket of another gateway is answered with %d", res.StatusCode)
	}
}

// publish publishes an event, as often as it takes: the key makes it one.
func publish(t *testing.T, front string, i int) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front+"/v1/publish/events.n", strings.NewReader(strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", "event-"+strconv.Itoa(i))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(res.Body) // for the message alone
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		last = string(body)
	}
	t.Fatalf("publish %d: %s", i, last)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
