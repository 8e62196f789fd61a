//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gateway is the real program, with a ring of its own.
type gateway struct {
	index       int
	addr, admin string
	dataDir     string
	tmpfs       bool // dataDir is a small file system of its own
	clockFile   string
	process     *process
}

// ringEvents are how many events each gateway's ring holds: in the first it is soon
// overtaken by the stream, so that clients which were away are served from the
// stream's history.
var ringEvents = [nodes]int{1000, 5000, 100_000}

// smallDisk is the gateway whose ring is on a file system that is made full.
const smallDisk = nodes - 1

func newGateway(r *rig, i int) (*gateway, error) {
	g := &gateway{index: i}
	var err error
	if g.addr, err = freeAddress(); err != nil {
		return nil, err
	}
	if g.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	g.dataDir, err = r.mkdir(fmt.Sprintf("gateway-%d", i))
	return g, err
}

// prepare makes the file system that is to be full, where that is possible, and the
// command.
func (g *gateway) prepare(r *rig) error {
	if g.index == smallDisk && r.opt.SmallDisk {
		if err := mountTmpfs(g.dataDir); err != nil {
			return err
		}
		g.tmpfs = true
	}
	urls := make([]string, nodes)
	for j, k := range r.uplinks[g.index] {
		urls[j] = "nats://" + r.address(k)
	}
	program := r.opt.Ringcast
	if g.index == steppedGateway && r.opt.Stepped != "" {
		program = r.opt.Stepped
		g.clockFile = filepath.Join(r.dir, "clock")
		if err := g.setClock(0); err != nil {
			return err
		}
	}
	args := []string{
		program, "serve", "--listen", g.addr, "--admin-listen", g.admin, "--data-dir", g.dataDir,
		"--nats-url", strings.Join(urls, ","), "--stream", streamName, "--subjects", streamSubjects,
		"--stream-replicas", fmt.Sprint(nodes), "--ring-max-events", fmt.Sprint(ringEvents[g.index]),
		"--instance", fmt.Sprintf("gateway-%d", g.index), "--log-level", "debug",
		// Below what clients and HAProxy wait for (quietTimeout), and sooner than by
		// default, for the run to be short.
		"--heartbeat", "2s", "--retry", "300ms", "--write-timeout", "5s",
	}
	g.process = newProcess(r.dir, fmt.Sprintf("gateway-%d", g.index), r.fail, append(args, r.opt.GatewayFlags...)...)
	if g.clockFile != "" {
		g.process.env = []string{clockVariable + "=" + g.clockFile}
	}
	return nil
}

// ringFile is where the ring is.
func (g *gateway) ringFile() string { return filepath.Join(g.dataDir, "ring.db") }

// release unmounts what prepare has mounted.
func (g *gateway) release() error {
	if !g.tmpfs {
		return nil
	}
	g.tmpfs = false
	return unmount(g.dataDir)
}

// smallDiskSize is how large the file system is that is made full.
const smallDiskSize = "96m"

// CanMount returns why a small file system cannot be made here, nil where it can: that
// takes root on Linux.
func CanMount() error {
	dir, err := os.MkdirTemp("", "faults-disk-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := mountTmpfs(dir); err != nil {
		return err
	}
	return unmount(dir)
}

func mountTmpfs(dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("mount tmpfs: only root can")
	}
	return quietly("mount", "-t", "tmpfs", "-o", "size="+smallDiskSize, "ringcast-faults", dir)
}

func unmount(dir string) error { return quietly("umount", dir) }

// quietly runs a command whose output matters only when it fails.
func quietly(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
