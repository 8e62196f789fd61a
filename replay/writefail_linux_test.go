package replay_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// TestRing_WriteFails: while the file cannot be written the ring holds what it has
// room for, says so, refuses more, and catches up (invariant 8).
func TestRing_WriteFails(t *testing.T) {
	path := ringPath(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var failed atomic.Int64
		r := open(t, path, replay.Options{
			MaxEvents: 800, WriteInterval: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Committed: func(c replay.Commit) {
				if c.Err != nil {
					failed.Add(1)
				}
			},
		})
		batch := events(1, 130)
		mustWrite(t, r, batch[:10])
		mend := breakFile(t, r)
		mustAppend(t, r, batch[10:100])
		time.Sleep(5 * time.Minute) // it is tried again and again
		synctest.Wait()
		if n := strings.Count(log.String(), "cannot be written"); n != 1 {
			t.Errorf("told %d times: %s", n, log.String())
		}
		if n := failed.Load(); n < 100 { // one a second
			t.Errorf("%d commits have failed", n)
		}
		if diff := diffEvents(batch[:100], all(t, r)); diff != "" {
			t.Errorf("while it fails (want, got):\n%s", diff)
		}
		if err := r.Append(batch[100:]); err == nil || errors.Is(err, broker.ErrCorrupt) {
			t.Errorf("append without room: %v", err)
		}
		mend()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := inFile(t, path); s.Events != 100 {
			t.Errorf("%d events in the file once it can be written", s.Events)
		}
		mustAppend(t, r, batch[100:])
		if diff := diffEvents(batch, all(t, r)); diff != "" {
			t.Errorf("afterwards (want, got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := inFile(t, path); s.Events != 130 {
			t.Errorf("%d events in the file", s.Events)
		}
	})
}

// breakFile makes every write to the ring's file fail, until mend is called: in the
// place of its descriptor there is one that only reads.
func breakFile(t *testing.T, r *replay.Ring) (mend func()) {
	t.Helper()
	fd := int(r.File().Fd())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kept, err := syscall.Dup(fd)
	must(err)
	readOnly, err := os.Open(r.File().Name())
	must(err)
	must(syscall.Dup3(int(readOnly.Fd()), fd, syscall.O_CLOEXEC))
	must(readOnly.Close())
	return func() {
		must(syscall.Dup3(kept, fd, syscall.O_CLOEXEC))
		must(syscall.Close(kept))
	}
}
