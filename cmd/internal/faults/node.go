//go:build linux

package faults

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed clients.mjs
var nodeScript []byte

// nodeProcess is the one process of Node.js with all the clients that are in it.
type nodeProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{} // closed by read, when its output has ended
}

// longestLine bounds a line of the process.
const longestLine = 1 << 20

// startNode builds @ringcast/client and opens the clients.
func startNode(ctx context.Context, r *rig, clients []*client, tally *tally) (*nodeProcess, error) {
	module, err := buildClient(ctx, r)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(r.dir, "clients.mjs")
	if err := os.WriteFile(script, nodeScript, 0o644); err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(filepath.Join(r.opt.Web, "clients"))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(r.dir, "node.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	n := &nodeProcess{cmd: exec.Command("node", script, folder, module), ended: make(chan struct{})}
	n.cmd.Stderr = log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for the harness alone
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	go n.read(ctx, r, out, clients, tally)
	return n, n.open(r, clients)
}

func (n *nodeProcess) open(r *rig, clients []*client) error {
	type order struct {
		Client  int    `json:"client"`
		Library string `json:"library"`
		URL     string `json:"url"`
	}
	orders := make([]order, len(clients))
	for i, c := range clients {
		orders[i] = order{i, c.library, c.url(r.frontend, "")}
	}
	if err := json.NewEncoder(n.in).Encode(orders); err != nil {
		return fmt.Errorf("open clients in node: %w", err)
	}
	return nil
}

// read takes in what the clients report, until the process ends.
func (n *nodeProcess) read(ctx context.Context, r *rig, out io.Reader, clients []*client, tally *tally) {
	defer close(n.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var line struct {
			Client  int    `json:"c"`
			Kind    string `json:"k"`
			Type    string `json:"t"`
			Data    string `json:"d"`
			ID      string `json:"i"`
			Message string `json:"m"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			r.fail(fmt.Errorf("read what node wrote: %w", err))
			return
		}
		c := clients[line.Client]
		switch line.Kind {
		case "event":
			c.checker.event(line.ID, line.Type, line.Data)
		case "retry":
			tally.reconnected(c.library, line.Message)
		default:
			tally.reopened(c.library, line.Message)
		}
	}
	if ctx.Err() == nil {
		log, _ := os.ReadFile(filepath.Join(r.dir, "node.log")) // its content is for a reader only
		r.fail(fmt.Errorf("node ended by itself: %v; it wrote %q", lines.Err(), strings.TrimSpace(string(log))))
	}
}

// stop ends the process and all its clients.
func (n *nodeProcess) stop() {
	n.in.Close()
	_ = n.cmd.Process.Kill() // fails where the end of its input has ended it
	<-n.ended
	_ = n.cmd.Wait() // it was killed
}

// buildClient bundles @ringcast/client from its source and returns the file.
func buildClient(ctx context.Context, r *rig) (string, error) {
	out, err := filepath.Abs(filepath.Join(r.dir, "client"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npx", "--no-install", "tsdown", "--no-config", "src/index.ts", "--out-dir", out, "--no-dts", "--logLevel", "error")
	cmd.Dir = filepath.Join(r.opt.Web, "client")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build @ringcast/client: %w: %s", err, text)
	}
	for _, name := range []string{"index.mjs", "index.js"} {
		if file := filepath.Join(out, name); exists(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("build @ringcast/client: no index in %s", out)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
