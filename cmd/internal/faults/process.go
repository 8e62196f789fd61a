//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to stop before it is killed.
const stopTimeout = 40 * time.Second

// process is a program that is started, killed, frozen and started again, with the
// same command each time. All its lives log to one file.
type process struct {
	name    string
	args    []string // with the program
	env     []string
	logFile string

	mu     sync.Mutex // guards what follows; nothing blocks while it is held
	cmd    *exec.Cmd
	ended  chan struct{} // closed by the goroutine that waits for cmd
	wanted bool          // it is meant to run: an end is a failure
	failed func(error)
}

// newProcess returns a process that logs to dir/name.log. failed is told of an end
// that nobody asked for.
func newProcess(dir, name string, failed func(error), args ...string) *process {
	return &process{name: name, args: args, logFile: filepath.Join(dir, name+".log"), failed: failed}
}

// start starts the program, which must not be running.
func (p *process) start() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close() // the child has its own
	fmt.Fprintf(log, "--- %s started\n", time.Now().Format(time.RFC3339Nano))
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for the harness alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended, p.wanted = cmd, ended, true
	p.mu.Unlock()
	go p.wait(cmd, ended)
	return nil
}

func (p *process) wait(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	wanted := p.wanted && p.cmd == cmd
	p.mu.Unlock()
	close(ended)
	if wanted {
		p.failed(fmt.Errorf("%s ended by itself: %v; its log ends with %q", p.name, err, p.lastLines(5)))
	}
}

// pid returns the process id, 0 while it does not run.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	select {
	case <-p.ended:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

// signal sends a signal that does not end the process.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// end sends a signal that ends the process, and waits for that. One that does not
// end within stopTimeout is killed, which is an error.
func (p *process) end(s syscall.Signal) error {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.wanted = false
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-ended:
		return nil
	case <-timeout.C:
		_ = cmd.Process.Kill() // fails where it has ended after all
		<-ended
		return fmt.Errorf("%s did not end within %s of %s", p.name, stopTimeout, s)
	}
}

// lastLines returns the end of the log, on one line.
func (p *process) lastLines(n int) string {
	content, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " ⏎ ")
}
