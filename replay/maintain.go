package replay

import (
	"errors"
	"os"
	"time"
)

// maintain commits what is pending, syncs, and trims by age until Close.
func (r *Ring) maintain() {
	defer close(r.done)
	defer r.due.Stop()
	sync := time.NewTicker(r.opts.SyncInterval)
	defer sync.Stop()
	age := time.NewTicker(ageInterval(r.opts.MaxAge))
	defer age.Stop()
	writes, syncs := true, true
	for {
		select {
		case <-r.stop:
			return
		case <-r.due.C:
			writes = r.writeDue(writes)
		case <-sync.C:
			syncs = r.sync(syncs)
		case <-age.C:
			r.trimByAge()
		}
	}
}

// ageInterval is how late an idle ring may be to evict.
func ageInterval(maxAge time.Duration) time.Duration {
	return min(max(maxAge/10, 100*time.Millisecond), time.Minute)
}

// writeRetry is when a commit that failed is tried again.
const writeRetry = time.Second

// writeDue commits what is pending, and returns whether that works. It says so when
// it no longer does, once; damage it leaves to Append to tell.
func (r *Ring) writeDue(works bool) bool {
	err := r.flush()
	if err == nil || r.usable() != nil {
		return true
	}
	if works {
		r.opts.Logger.Warn("ring file cannot be written: the newest events are in memory only, until there is no more room",
			"file", r.path, "error", err)
	}
	r.due.Reset(writeRetry)
	return false
}

// sync forces what was committed to disk, and returns whether that works. It
// says so when it no longer does, once.
func (r *Ring) sync(works bool) bool {
	if !r.dirty.Swap(false) {
		return works
	}
	err := r.store.Load().file.Sync() // not under a lock: a sync may take seconds
	if errors.Is(err, os.ErrClosed) {
		return works // the file was replaced, and the new one is dirty by itself
	}
	if err != nil && works {
		r.opts.Logger.Warn("ring file cannot be synced: a power cut may damage it", "file", r.path, "error", err)
	}
	return err == nil
}

// trimByAge evicts what is too old, a chunk at a time so that Append can come in
// between.
func (r *Ring) trimByAge() {
	for n := 1; n > 0; {
		r.write.Lock()
		err := r.usable()
		if err == nil {
			if n, err = r.trim(); err != nil {
				r.noteDamage(r.store.Load(), err)
				r.opts.Logger.Warn("ring could not be trimmed", "file", r.path, "error", err)
			}
		}
		r.write.Unlock()
		if err != nil {
			return
		}
	}
}

// newStoppedTimer returns a timer that does not fire until it is reset.
func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
