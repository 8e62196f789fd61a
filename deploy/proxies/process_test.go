package proxies_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program of its own, and what it writes.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *log
	done chan struct{} // closed by the goroutine that waits for it, when err is set
	err  error
}

// run starts a command, which is killed at the end of the test, if it has not ended.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, log: newLog(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: `make tools` installs what the tests need", err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.stop)
	return p
}

// end sends a signal and waits for the end.
func (p *process) end(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("end %s: %v", p.cmd.Path, err)
	}
	p.awaitDone()
}

func (p *process) awaitDone() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Errorf("%s has not ended: %s", p.cmd.Path, p.log.text())
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) stop() {
	p.end(syscall.SIGTERM)
	if text := p.log.text(); strings.Contains(text, "DATA RACE") {
		p.t.Errorf("%s", text)
	}
	if p.t.Failed() {
		p.t.Logf("%s wrote: %s", p.cmd.Path, p.log.text())
	}
}

// log keeps what a process writes.
type log struct {
	mu      sync.Mutex // guards what follows; nothing blocks while it is held
	written strings.Builder
	grown   chan struct{} // closed by the next Write, which makes a new one
}

func newLog() *log { return &log{grown: make(chan struct{})} }

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.written.Write(b)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.String()
}

func (l *log) snapshot() (text string, grown <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.String(), l.grown
}

// awaitLine returns the first whole line that contains text.
func (p *process) awaitLine(text string) string {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		written, grown := p.log.snapshot()
		for line := range strings.Lines(written) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-grown:
		case <-p.done:
			p.t.Fatalf("%s ended with %v: %s", p.cmd.Path, p.err, written)
		case <-deadline:
			p.t.Fatalf("%s does not write %q: %s", p.cmd.Path, text, written)
		}
	}
}
