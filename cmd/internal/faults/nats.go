//go:build linux

package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// natsNode is a server of the cluster.
type natsNode struct {
	index                    int
	client, cluster, monitor string // addresses
	store, file              string
	process                  *process
}

func newNATSNode(r *rig, i int) (*natsNode, error) {
	n := &natsNode{index: i}
	for _, addr := range []*string{&n.client, &n.cluster, &n.monitor} {
		var err error
		if *addr, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	dir, err := r.mkdir(fmt.Sprintf("nats-%d", i))
	if err != nil {
		return nil, err
	}
	n.store = filepath.Join(dir, "store")
	n.file = filepath.Join(dir, "nats.conf")
	n.process = newProcess(r.dir, fmt.Sprintf("nats-%d", i), r.fail, r.opt.NATSServer, "-c", n.file)
	return n, nil
}

// configure writes the server's file. What a server tells the others of where it is
// reached (advertise) leads nowhere: they are to come over their links alone. Dead
// connections are noticed sooner than by default, for the run to be short.
func (n *natsNode) configure(r *rig) error {
	routes := ""
	for j, k := range r.routes[n.index] {
		if j != n.index {
			routes += fmt.Sprintf("    nats://%s\n", r.address(k))
		}
	}
	text := fmt.Sprintf(`server_name: nats-%d
listen: %q
http: %q
ping_interval: "2s"
ping_max: 2
jetstream { store_dir: %q, max_memory_store: 256MB, max_file_store: 8GB }
cluster {
  name: faults
  listen: %q
  advertise: "127.0.0.1:1"
  no_advertise: true
  routes: [
%s  ]
}
`, n.index, n.client, n.monitor, n.store, n.cluster, routes)
	if err := os.WriteFile(n.file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("configure NATS: %w", err)
	}
	return nil
}

// healthURL answers 200 when the server and its JetStream are up to date.
func (n *natsNode) healthURL() string { return "http://" + n.monitor + "/healthz" }

// awaitListener waits until somebody listens at an address.
func awaitListener(ctx context.Context, addr string) error {
	if err := poll(ctx, startTimeout, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}); err != nil {
		return fmt.Errorf("await a listener at %s: %w", addr, err)
	}
	return nil
}
