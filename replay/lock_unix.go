//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package replay

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockRetry is how often a lock is tried while another process holds it.
const lockRetry = 50 * time.Millisecond

// lockFile takes the lock that bbolt takes, flock(2), on f: exclusive, or shared
// with other readers. It belongs to the open file, so bbolt's own attempt on the
// same file succeeds, and closing f releases it.
func lockFile(f *os.File, exclusive bool, timeout time.Duration) error {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(deadline) {
			return ErrLocked
		}
	}
}
