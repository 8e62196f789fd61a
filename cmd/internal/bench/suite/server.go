package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"ringcast/cmd/internal/bench"
)

// server is a running process.
type server struct {
	name, url, nats string // nats is empty where it is published to over HTTP
	ringEvents      int    // in Ringcast's ring, when it was ready
	cmd             *exec.Cmd
	log             *bytes.Buffer // of nchan; to be read once it has stopped
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stopTimeout is how long a server may take to stop before it is killed.
const stopTimeout = 15 * time.Second

// stop ends the server and all it has started.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended
	kill := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_ = s.cmd.Wait() // it was signalled
}

// longestLog is how much of a server's log is kept.
const longestLog = 300

// said returns the beginning of what a server that has stopped has logged.
func (s *server) said() string {
	if s.log == nil {
		return ""
	}
	text := strings.Join(strings.Fields(s.log.String()), " ")
	return text[:min(len(text), longestLog)]
}

// start starts a server with its data in dir.
func (s *suite) start(ctx context.Context, name, dir string, r row) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	switch name {
	case ringcastServer:
		return s.startRingcast(ctx, dir, r.serve...)
	case nchanServer:
		return s.startNchan(ctx, dir, r.workers)
	case jetstreamServer:
		return s.startFloor(ctx, name, "jetstream", dir)
	default:
		return s.startFloor(ctx, name)
	}
}

// startRingcast starts it with its default settings, but for ports, the folder and
// the given flags.
func (s *suite) startRingcast(ctx context.Context, dir string, flags ...string) (*server, error) {
	sv, log, err := s.execRingcast(dir, append([]string{"--listen", "127.0.0.1:0"}, flags...)...)
	if err != nil {
		return nil, err
	}
	return sv, sv.readReadyLine(ctx, log)
}

// execRingcast starts it and returns its log, which has to be read.
func (s *suite) execRingcast(dir string, flags ...string) (*server, io.Reader, error) {
	cmd := exec.Command(s.ringcast, append([]string{"serve", "--nats-listen", "127.0.0.1:0", "--data-dir", dir, "--log-format", "json"}, flags...)...)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &server{name: ringcastServer, cmd: cmd}, log, nil
}

// readReadyLine awaits the line in which Ringcast says where everything is. Without
// one the server is stopped.
func (s *server) readReadyLine(ctx context.Context, log io.Reader) error {
	line, err := s.awaitLine(ctx, log, `"ringcast is ready"`)
	if err != nil {
		return err
	}
	var ready struct {
		URL, NATS  string
		RingEvents int `json:"ring_events"`
	}
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		s.stop()
		return fmt.Errorf("read the ready line: %w", err)
	}
	s.url, s.nats, s.ringEvents = ready.URL, ready.NATS, ready.RingEvents
	return nil
}

func (s *suite) startFloor(ctx context.Context, name string, args ...string) (*server, error) {
	cmd := exec.Command(s.floor, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sv := &server{name: name, cmd: cmd}
	line, err := sv.awaitLine(ctx, out, "://")
	if err != nil {
		return nil, err
	}
	if name == jetstreamServer {
		sv.nats = line
	} else {
		sv.url = line
	}
	return sv, nil
}

// awaitLine returns the first line that contains text, and has what follows read
// and dropped. Without one the server is stopped.
func (s *server) awaitLine(ctx context.Context, r io.Reader, text string) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })
	defer stop()
	lines := bufio.NewScanner(r)
	var last string
	for lines.Scan() {
		if last = lines.Text(); strings.Contains(last, text) {
			go io.Copy(io.Discard, r)
			return last, nil
		}
	}
	s.stop()
	return "", fmt.Errorf("%s ended: %s", s.name, last)
}

func (s *suite) startNchan(ctx context.Context, dir string, workers int) (*server, error) {
	nginx, err := filepath.Abs(filepath.Join(s.nchan, "usr/sbin/nginx"))
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := s.writeNchanConf(dir, address, workers); err != nil {
		return nil, err
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	sv := &server{name: nchanServer, url: "http://" + address, cmd: cmd, log: new(bytes.Buffer)}
	cmd.Stderr = sv.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := awaitListening(ctx, address); err != nil {
		sv.stop()
		return nil, fmt.Errorf("%w: %s", err, sv.said())
	}
	return sv, nil
}

func (s *suite) writeNchanConf(dir, address string, workers int) error {
	module, err := filepath.Abs(filepath.Join(s.nchan, "usr/lib/nginx/modules/ngx_nchan_module.so"))
	if err != nil {
		return err
	}
	conf, err := template.ParseFiles(s.nchanConf)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		return err
	}
	err = conf.Execute(file, map[string]any{"Module": module, "Address": address, "Workers": workers, "Root": os.Getuid() == 0})
	return errors.Join(err, file.Close())
}

// freeAddress returns one that was free a moment ago: nginx takes no listener and
// cannot tell which port it got.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func awaitListening(ctx context.Context, address string) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// bench runs `ringcast bench`. That events were lost is in the result.
func (s *suite) bench(ctx context.Context, flags []string) (*bench.Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.ringcast, append([]string{"bench"}, flags...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	if failed != nil && stdout.Len() == 0 {
		return nil, fmt.Errorf("%w: %s", failed, bytes.TrimSpace(stderr.Bytes()))
	}
	var result bench.Result
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	return &result, nil
}
