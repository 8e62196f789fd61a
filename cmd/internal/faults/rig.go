//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// nodes is how many there are of either kind: NATS servers and gateways.
const nodes = 3

// streamName and streamSubjects are what the gateways serve.
const (
	streamName     = "EVENTS"
	streamSubjects = "events.>"
)

// rig is what is tested: a NATS cluster, gateways on it, and HAProxy before them, each
// pair with a link in between.
type rig struct {
	opt Options
	dir string

	nats     [nodes]*natsNode
	gateways [nodes]*gateway
	haproxy  *process
	frontend string // HAProxy's address

	routes   [nodes][nodes]*link // from one NATS server to another
	uplinks  [nodes][nodes]*link // from a gateway to a NATS server
	backends [nodes]*link        // from HAProxy to a gateway

	conn *nats.Conn // of the harness itself, to no server in particular
	js   jetstream.JetStream

	failMu  sync.Mutex // guards failure; nothing blocks while it is held
	failure error      // the first that is the rig's own, and ends the run
	broken  chan struct{}
}

// newRig starts everything and returns when it serves.
func newRig(ctx context.Context, opt Options) (*rig, error) {
	r := &rig{opt: opt, dir: opt.Dir, broken: make(chan struct{})}
	for _, step := range []func(context.Context) error{
		r.layOut, r.startNATS, r.connect, r.startGateways, r.startHAProxy,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, r.err(), r.close())
		}
	}
	return r, nil
}

// fail notes a failure that no fault explains: a process that ended by itself.
func (r *rig) fail(err error) {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	if r.failure == nil {
		r.failure = err
		close(r.broken) // the only place
	}
}

// err returns the first such failure.
func (r *rig) err() error {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	return r.failure
}

// layOut gives every part its addresses and makes the links.
func (r *rig) layOut(context.Context) (err error) {
	for i := range nodes {
		if r.nats[i], err = newNATSNode(r, i); err != nil {
			return fmt.Errorf("lay out: %w", err)
		}
		if r.gateways[i], err = newGateway(r, i); err != nil {
			return fmt.Errorf("lay out: %w", err)
		}
	}
	for i := range nodes {
		if r.backends[i], err = newLink(fmt.Sprintf("haproxy–gateway-%d", i), r.gateways[i].addr, r.fail); err != nil {
			return err
		}
		for j := range nodes {
			if r.uplinks[i][j], err = newLink(fmt.Sprintf("gateway-%d–nats-%d", i, j), r.nats[j].client, r.fail); err != nil {
				return err
			}
			if i == j {
				continue
			}
			if r.routes[i][j], err = newLink(fmt.Sprintf("nats-%d–nats-%d", i, j), r.nats[j].cluster, r.fail); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rig) startNATS(ctx context.Context) error {
	for _, n := range r.nats {
		if err := n.configure(r); err != nil {
			return err
		}
		if err := n.process.start(); err != nil {
			return err
		}
	}
	for _, n := range r.nats {
		if err := awaitOK(ctx, n.healthURL()); err != nil {
			return fmt.Errorf("start %s: %w", n.process.name, err)
		}
	}
	return nil
}

// connect connects the harness itself, past all links.
func (r *rig) connect(context.Context) (err error) {
	if r.conn, err = nats.Connect(r.natsURLs(), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), nats.RetryOnFailedConnect(true)); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	r.js, err = jetstream.New(r.conn)
	return err
}

// natsURLs returns where publishers find the servers.
func (r *rig) natsURLs() string {
	urls := ""
	for i, n := range r.nats {
		if i > 0 {
			urls += ","
		}
		urls += "nats://" + n.client
	}
	return urls
}

func (r *rig) startGateways(ctx context.Context) error {
	for _, g := range r.gateways {
		if err := g.prepare(r); err != nil {
			return err
		}
		if err := g.process.start(); err != nil {
			return err
		}
		// One after the other: the first makes the stream.
		if err := awaitOK(ctx, "http://"+g.addr+"/readyz"); err != nil {
			return fmt.Errorf("start %s: %w; its log ends with %q", g.process.name, err, g.process.lastLines(5))
		}
	}
	return nil
}

// close stops everything, and leaves the files.
func (r *rig) close() error {
	var errs []error
	if r.conn != nil {
		r.conn.Close()
	}
	for _, k := range r.links() {
		k.setSilent(false)
	}
	for _, p := range r.processes() {
		_ = p.signal(syscall.SIGCONT)
	}
	var stopping sync.WaitGroup
	var mu sync.Mutex // guards errs
	for _, p := range r.processes() {
		stopping.Go(func() {
			if err := p.end(syscall.SIGKILL); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	stopping.Wait()
	for _, k := range r.links() {
		k.close()
	}
	for _, g := range r.gateways {
		if g != nil {
			errs = append(errs, g.release())
		}
	}
	return errors.Join(errs...)
}

// processes returns all that were made.
func (r *rig) processes() []*process {
	var all []*process
	for i := range nodes {
		if g := r.gateways[i]; g != nil && g.process != nil {
			all = append(all, g.process)
		}
		if r.nats[i] != nil {
			all = append(all, r.nats[i].process)
		}
	}
	if r.haproxy != nil {
		all = append(all, r.haproxy)
	}
	return all
}

// links returns all that were made.
func (r *rig) links() []*link {
	var all []*link
	for i := range nodes {
		if r.backends[i] != nil {
			all = append(all, r.backends[i])
		}
		for j := range nodes {
			if r.routes[i][j] != nil {
				all = append(all, r.routes[i][j])
			}
			if r.uplinks[i][j] != nil {
				all = append(all, r.uplinks[i][j])
			}
		}
	}
	return all
}

// address returns where the far end of a link is reached.
func (r *rig) address(k *link) string {
	if r.opt.Direct {
		return k.target
	}
	return k.addr
}

// towards returns the links whose far end is the given process.
func (r *rig) towards(p *process) []*link {
	var found []*link
	for i := range nodes {
		if r.gateways[i].process == p {
			found = append(found, r.backends[i])
		}
		if r.nats[i].process == p {
			for j := range nodes {
				found = append(found, r.uplinks[j][i])
				if i != j {
					found = append(found, r.routes[j][i])
				}
			}
		}
	}
	return found
}

// stop ends a process by a signal, and has the links refuse connections to it.
func (r *rig) stop(p *process, s syscall.Signal) error {
	err := p.end(s)
	for _, k := range r.towards(p) {
		k.setUp(false)
	}
	return err
}

// start starts it again. What it listens at refuses until it listens.
func (r *rig) start(ctx context.Context, p *process, addrs ...string) error {
	if err := p.start(); err != nil {
		return err
	}
	for _, addr := range addrs {
		if err := awaitListener(ctx, addr); err != nil {
			return fmt.Errorf("start %s: %w; its log ends with %q", p.name, err, p.lastLines(5))
		}
	}
	for _, k := range r.towards(p) {
		k.setUp(true)
	}
	return nil
}

// startTimeout is how long a part may take to serve.
const startTimeout = 60 * time.Second

// poll calls done every few milliseconds until it returns true.
func poll(ctx context.Context, timeout time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// awaitOK waits until a URL answers 200.
func awaitOK(ctx context.Context, url string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if err := poll(ctx, startTimeout, func() bool {
		resp, err := client.Get(url)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}); err != nil {
		return fmt.Errorf("await %s: %w", url, err)
	}
	return nil
}

// mkdir makes a folder in the rig's own.
func (r *rig) mkdir(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}
