//go:build linux

package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// What a process has used, of itself and of a child's child, is counted.
func TestUsageOf(t *testing.T) {
	self := []int{os.Getpid()}
	before := usageFor(t, self)
	if before.memory < 1<<20 {
		t.Errorf("this process has %d bytes of memory", before.memory)
	}
	// A shell whose child is busy until it is killed, under a name that could be
	// taken for more fields.
	cmd := exec.Command("bash", "-c", `exec -a 'a) b (c' bash -c 'while :; do :; done' & wait`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		pids, err := withDescendants([]int{cmd.Process.Pid})
		if err != nil {
			t.Error(err)
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill() // one may have ended with its parent
			}
		}
		_ = cmd.Wait() // it was killed
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		u := usageFor(t, []int{cmd.Process.Pid})
		if u.cpu >= 5*clockTick && usageFor(t, self).cpu >= before.cpu+5*clockTick {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute of work the processes have used %v", u.cpu)
		}
	}
}

func usageFor(t *testing.T, pids []int) usage {
	t.Helper()
	u, err := usageOf(pids)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
